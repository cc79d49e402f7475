"""The episode runner: a policy's score over fixed episodes, with intervals by the bootstrap."""

from dataclasses import asdict, dataclass

import numpy as np
import torch

from envs import embodiments
from envs.embodiments.embodiment import Actor
from envs.embodiments.legged import LeggedWorld
from envs.make import make_worlds
from envs.randomization import Randomization, preset
from envs.task import TaskSpec
from envs.worlds import Worlds
from robots.spec import RobotSpec

EPISODES = 128
SEED = 20_260_101
"""Of the score's episodes: start states, commands, sensor noise."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores of one policy."""

    score: float
    """Mean over episodes of the task's score a tick, 0 for every tick after a fall."""
    score_ci: tuple[float, float]
    """95 % bootstrap interval over episodes."""
    yaw_score: float | None
    """The same of the yaw score; None of tasks that do not turn."""
    falls: int
    """Episodes with a fall."""
    episodes: int
    cvar25: float
    """Mean of the worst quarter of the episodes."""
    cost_of_transport: float | None
    """Mechanical power over weight times speed, of moving episodes [1]; None where none walked."""
    episode_scores: tuple[float, ...]

    def as_dict(self) -> dict[str, object]:
        """Without the scores of single episodes."""
        return {name: value for name, value in asdict(self).items() if name != "episode_scores"}


def evaluate(
    spec: RobotSpec,
    task: TaskSpec,
    actor: Actor,
    *,
    episodes: int = EPISODES,
    seconds: float | None = None,
    randomization: Randomization | None = None,
    num_threads: int = 0,
) -> Evaluation:
    """Run `actor` through the fixed episodes on the nominal robot with sensor noise."""
    env = make_worlds(
        spec,
        task,
        num_envs=episodes,
        randomization=randomization or preset("none"),
        seed=SEED,
        num_threads=num_threads,
        scoring=True,
    )
    steps = round((seconds or task.episode_seconds) * spec.control_hz)
    return run_episodes(env, actor, steps)


@torch.no_grad()
def run_episodes(env: Worlds, actor: Actor, steps: int) -> Evaluation:
    """Score `actor` for `steps` control steps of a scoring environment that was just reset."""
    observation = env.observation()
    device = observation.device
    alive = torch.ones(env.num_envs, dtype=torch.bool, device=device)
    score, yaw, power, travel = (torch.zeros(env.num_envs, device=device) for _ in range(4))
    for _ in range(steps):
        step = env.step(actor(observation))
        observation = step.observation
        alive &= ~step.terminated
        score += env.task.score(step.world, env.space) * alive
        if env.task.yaw_score:
            yaw += env.task.yaw_score(step.world, env.space) * alive
        if isinstance(step.world, LeggedWorld):
            power += (step.world.torque * step.world.joint_vel).abs().sum(-1) * alive
            travel += step.world.velocity[:, :2].norm(dim=-1) * alive
    per_episode = (score / steps).double().cpu().numpy()
    moving = travel / steps > 0.05 * env.space.speed
    weight = env.space.mass * env.space.gravity
    cost = (power[moving].sum() / (weight * travel[moving].sum())).item() if moving.any() else None
    return Evaluation(
        score=float(per_episode.mean()),
        score_ci=_bootstrap_interval(per_episode),
        yaw_score=(yaw / steps).mean().item() if env.task.yaw_score else None,
        falls=int((~alive).sum()),
        episodes=env.num_envs,
        cvar25=float(np.sort(per_episode)[: max(1, len(per_episode) // 4)].mean()),
        cost_of_transport=cost,
        episode_scores=tuple(per_episode.tolist()),
    )


def no_op(spec: RobotSpec, task: TaskSpec) -> Actor:
    """The policy that does nothing: a walker stands, an arm keeps its pose, a machine applies no torque."""
    return embodiments.get(task.embodiment).no_op(spec, task)


def _bootstrap_interval(values: np.ndarray, resamples: int = 2000) -> tuple[float, float]:
    rows = np.random.default_rng(0).integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(values[rows].mean(-1), [0.025, 0.975])
    return float(low), float(high)
