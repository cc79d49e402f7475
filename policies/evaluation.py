"""The episode runner: a policy's score over fixed episodes, with intervals by the bootstrap."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch

from envs.actions import ACTION_SCALE
from envs.observations import actor_terms
from envs.randomization import Randomization, preset
from envs.task import TaskSpec
from envs.vector_env import VectorEnv
from robots.joint_space import joint_space
from robots.spec import RobotSpec

Actor = Callable[[torch.Tensor], torch.Tensor]
"""Raw observations, (n, width), to dimensionless actions, (n, num_joints)."""

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
    yaw_score: float
    falls: int
    """Episodes with a fall."""
    episodes: int
    cvar25: float
    """Mean of the worst quarter of the episodes."""
    cost_of_transport: float | None
    """Mechanical power over weight times speed, of moving episodes [1]; None where none moved."""
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
    env = VectorEnv(
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
def run_episodes(env: VectorEnv, actor: Actor, steps: int) -> Evaluation:
    """Score `actor` for `steps` control steps of a scoring environment that was just reset."""
    observation = env.observe(env.world(env.episode.action))
    alive = torch.ones(env.num_envs, dtype=torch.bool)
    score, yaw, power, travel = (torch.zeros(env.num_envs) for _ in range(4))
    for _ in range(steps):
        step = env.step(actor(observation))
        observation = step.observation
        alive &= ~step.terminated
        score += env.task.score(step.world, env.space) * alive
        yaw += env.task.yaw_score(step.world, env.space) * alive
        power += (step.world.torque * step.world.joint_vel).abs().sum(-1) * alive
        travel += step.world.velocity[:, :2].norm(dim=-1) * alive
    per_episode = (score / steps).double().numpy()
    moving = travel / steps > 0.05 * env.space.speed
    weight = env.space.mass * env.space.gravity
    cost = (power[moving].sum() / (weight * travel[moving].sum())).item() if moving.any() else None
    return Evaluation(
        score=float(per_episode.mean()),
        score_ci=_bootstrap_interval(per_episode),
        yaw_score=(yaw / steps).mean().item(),
        falls=int((~alive).sum()),
        episodes=env.num_envs,
        cvar25=float(np.sort(per_episode)[: max(1, len(per_episode) // 4)].mean()),
        cost_of_transport=cost,
        episode_scores=tuple(per_episode.tolist()),
    )


def standing_still(spec: RobotSpec) -> Actor:
    """The no-op: hold the nominal pose, by actions that cancel the clock's lift of the feet."""
    space = joint_space(spec)
    full_lift = -torch.tensor(space.lift) / (ACTION_SCALE * torch.tensor(space.sign))
    leg_sign = torch.tensor(space.leg_sign)
    widths = {term.name: term.width for term in actor_terms(space, spec.default_positions)}
    sine = sum(widths.values()) - widths["clock"]  # the clock comes last
    return lambda observation: full_lift * (observation[:, sine : sine + 1] * leg_sign).clamp(0.0, 1.0)


def _bootstrap_interval(values: np.ndarray, resamples: int = 2000) -> tuple[float, float]:
    rows = np.random.default_rng(0).integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(values[rows].mean(-1), [0.025, 0.975])
    return float(low), float(high)
