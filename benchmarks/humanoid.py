"""A humanoid that walks: G1 trained from scratch, then asked to walk forward for ten seconds.

    python -m benchmarks.training --part humanoid [--tier full]

The training is `sim2real train --robot g1 --steps 8000000`, kept in the store: it is not repeated if it is there. The
walk is measured in 64 episodes of 10 s at a steady command, sensor noise on: speed over ground, lifts of each foot
(the sole leaves the ground and rises above `LIFTED`), and falls.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

import envs.tasks
from benchmarks.report import Report, Tier
from envs.embodiments.embodiment import Actor
from envs.embodiments.legged import CONTACT_CLEARANCE, LeggedWorld
from envs.frames import to_yaw_frame
from envs.make import make_worlds
from envs.randomization import preset
from policies.evaluation import SEED
from policies.skill import load_skill, robot_of
from policies.threads import one_torch_thread
from robots.spec import RobotSpec
from sim2real import api

STEPS = 8_000_000
COMMAND = 0.2
"""Forward, in units of √(gL): 0.51 m/s on a G1."""
LIFTED = 0.02
"""Clearance of a sole that counts as lifted, in units of L: 1.3 cm on a G1."""
EPISODES, SECONDS = 64, 10.0


@dataclass(frozen=True)
class Walk:
    """What 64 episodes came to; one row each."""

    fell: torch.Tensor
    """(n,) bool."""
    speed: torch.Tensor
    """(n,) net displacement along the heading at the start, over time [m/s]; of fallen ones, up to the fall."""
    lifts: torch.Tensor
    """(n, num_feet) how often each foot was lifted and set down."""


def measure(tier: Tier, report: Report) -> None:
    """Train (or fetch) the humanoid and add the rows of its walk."""
    if tier != "full":
        report.skipped["g1_walk"] = f"trains for half an hour: not in tier {tier}"
        return
    one_torch_thread()
    trained = api.train(robot="g1", steps=STEPS)
    skill = load_skill(Path(trained["run"]) / "skill.safetensors")
    seen = walk(robot_of(skill.card), skill.player())
    report.add("g1_score", "score", [trained["score"]])
    report.add("g1_training_minutes", "min", [trained["seconds"] / 60.0])
    report.add("g1_falls", f"of {EPISODES} episodes", [float(seen.fell.sum())])
    report.add("g1_walking_speed", "m/s", seen.speed[~seen.fell].tolist() or [0.0])
    report.add("g1_lifts_a_leg", f"in {SECONDS:.0f} s", seen.lifts[~seen.fell].amin(-1).tolist() or [0.0])
    report.configurations["g1"] = f"sim2real train --robot g1 --steps {STEPS}"


@torch.no_grad()
def walk(spec: RobotSpec, actor: Actor, command: float = COMMAND) -> Walk:
    """Watch `actor` walk forward at `command`·√(gL)."""
    env = make_worlds(
        spec, envs.tasks.get("velocity"), num_envs=EPISODES, randomization=preset("none"), seed=SEED, scoring=True
    )
    env.episode.command[:] = torch.tensor([command * env.space.speed, 0.0, 0.0])
    observation, alive = env.observation(), torch.ones(EPISODES, dtype=torch.bool)
    travel, seconds, heading = torch.zeros(EPISODES, 3), torch.zeros(EPISODES), None
    lifts, raised = torch.zeros(EPISODES, len(spec.feet)), torch.zeros(EPISODES, len(spec.feet), dtype=torch.bool)
    for _ in range(round(SECONDS * spec.control_hz)):
        step = env.step(actor(observation))
        observation, world = step.observation, step.world
        assert isinstance(world, LeggedWorld)
        alive &= ~step.terminated
        heading = world.orientation.clone() if heading is None else heading
        travel += world.world_velocity * env.dt * alive[:, None]
        seconds += env.dt * alive
        down = world.foot_heights < CONTACT_CLEARANCE * env.space.length
        lifts += (raised & down) * alive[:, None]
        raised = (raised & ~down) | (world.foot_heights > LIFTED * env.space.length)
    assert heading is not None
    return Walk(fell=~alive, speed=to_yaw_frame(heading, travel)[:, 0] / seconds, lifts=lifts)
