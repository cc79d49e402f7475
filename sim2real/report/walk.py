"""A walk to be filmed: a skill on its nominal robot, with sensor noise, through a fixed programme of commands.

SI; commands are given in the robot's own units, so that every robot is asked the same.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from envs.embodiments.embodiment import Actor
from envs.embodiments.legged import LeggedWorld
from envs.randomization import preset
from envs.task import TaskSpec, World
from envs.vector_env import VectorEnv
from robots.spec import RobotSpec
from sim2real.report.captions import Caption
from sim2real.report.footage import Footage

SMOOTHING_SECONDS = 0.5
"""One step of a gait: the measured velocity is its mean over so long [s]."""
FALL_SECONDS = 0.8
"""A fallen robot is looked at for so long before it stands again [s]."""
SEED = 1
UNITS = ("m/s", "m/s", "rad/s")


@dataclass(frozen=True)
class Act:
    """A command that is held for a while."""

    label: str
    command: tuple[float, float, float]
    """vx, vy, yaw rate in units of √(gL), √(gL), 1/T."""
    seconds: float
    axis: int
    """Which component of the command is what matters."""


PROGRAMME = (
    Act("walk forward", (0.45, 0.0, 0.0), 3.0, 0),
    Act("turn left", (0.2, 0.0, 0.1), 2.0, 2),
    Act("sidestep left", (0.0, 0.16, 0.0), 2.0, 1),
    Act("stand still", (0.0, 0.0, 0.0), 1.0, 0),
)


@dataclass(frozen=True, kw_only=True)
class Walk:
    """What happened, a row for each control tick."""

    qpos: NDArray[np.float64]
    """(ticks, nq)."""
    act: NDArray[np.intp]
    """(ticks,) index into `PROGRAMME`."""
    command: NDArray[np.float64]
    """(ticks, 3) vx [m/s], vy [m/s], yaw rate [rad/s]."""
    velocity: NDArray[np.float64]
    """(ticks, 3) what the robot did, smoothed; same units."""
    fell: NDArray[np.bool_]
    """(ticks,) while the robot lies where it fell; it then starts anew."""
    falls: int
    control_hz: float


@torch.no_grad()
def walk(spec: RobotSpec, task: TaskSpec, actor: Actor, programme: tuple[Act, ...] = PROGRAMME) -> Walk:
    """Let `actor` walk the programme."""
    env = VectorEnv(spec, task, num_envs=1, randomization=preset("none"), seed=SEED, num_threads=1, scoring=True)
    unit = torch.tensor([env.space.speed, env.space.speed, 1.0 / env.space.time])
    acts = [index for index, act in enumerate(programme) for _ in range(round(act.seconds * spec.control_hz))]
    commands = [unit * torch.tensor(programme[index].command) for index in acts]
    env.episode.command[:] = commands[0]
    observation = env.observation()
    qpos, velocity, fell, falls, down = [], [], [], 0, 0
    for command in commands:
        down = max(0, down - 1)
        if not down:
            env.episode.command[:] = command
            env.episode.steps[:] = 0  # the programme may be longer than an episode
            before = env.physics.qpos[0].numpy().copy()
            step = env.step(actor(observation))
            observation, moved = step.observation, _velocity(step.world)
            if step.terminated:  # the world shows the next episode already
                falls, down = falls + 1, round(FALL_SECONDS * spec.control_hz)
        qpos.append(before if down else env.physics.qpos[0].numpy().copy())
        velocity.append([0.0] * 3 if down else moved)
        fell.append(down > 0)
    window = max(1, round(SMOOTHING_SECONDS * spec.control_hz))
    return Walk(
        qpos=np.array(qpos),
        act=np.array(acts),
        command=torch.stack(commands).double().numpy(),
        velocity=trailing_mean(np.array(velocity), window),
        fell=np.array(fell),
        falls=falls,
        control_hz=spec.control_hz,
    )


def footage(walked: Walk) -> Footage:
    """A walk with its captions."""
    fell = walked.fell
    return Footage(
        qpos=walked.qpos[:, None],
        captions=tuple(_caption(walked, tick) for tick in range(len(walked.act))),
        starts=tuple((np.flatnonzero(fell[:-1] & ~fell[1:]) + 1).tolist()),
        control_hz=walked.control_hz,
    )


def _caption(walked: Walk, tick: int) -> Caption:
    act = PROGRAMME[walked.act[tick]]
    figures = asked_and_done(walked.command[tick, act.axis], walked.velocity[tick, act.axis], UNITS[act.axis])
    return Caption("fell", figures, alarm=True) if walked.fell[tick] else Caption(act.label, figures)


def asked_and_done(asked: float, done: float, unit: str) -> str:
    """A command beside what became of it, as a caption says it."""
    if asked == 0.0:
        done = abs(done)
    return f"asked {asked:.2f}   does {done:.2f} {unit}".replace("-0.00", "0.00")


def _velocity(world: World) -> list[float]:
    assert isinstance(world, LeggedWorld)
    return [*world.velocity[0, :2].tolist(), world.gyro[0, 2].item()]


def trailing_mean(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Mean of each row and up to `window` − 1 rows before it."""
    total = np.cumsum(np.vstack([np.zeros(values.shape[1]), values]), axis=0)
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - window, 0)
    return (total[end] - total[start]) / (end - start)[:, None]
