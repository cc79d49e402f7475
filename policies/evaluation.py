"""A policy's score over fixed episodes, with intervals by the bootstrap, and by what was asked for."""

from dataclasses import asdict, dataclass

import numpy as np

from envs import embodiments
from envs.embodiments.embodiment import Actor
from envs.make import make_worlds
from envs.randomization import Randomization, preset
from envs.task import TaskSpec
from envs.worlds import Worlds
from policies.breakdown import Breakdown, bootstrap_interval, break_down
from policies.episodes import Episodes, play
from robots.spec import RobotSpec

EPISODES = 128
SEED = 20_260_101
"""Of the score's episodes: start states, commands, sensor noise."""
MOVING = 0.05
"""Mean speed from which on an episode counts for the cost of transport [√(gL)]."""


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
    action_rate: float | None
    """Mean |Δaction| a second, over joints and over ticks before a fall, in units of action [1/s] (a legged robot's or
    an arm's is 0.35 rad of joint target, a machine's its torque limit); None where nobody stood two ticks."""
    breakdown: Breakdown
    """By what was asked for: criterion -> group -> its scores."""
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


def run_episodes(env: Worlds, actor: Actor, steps: int) -> Evaluation:
    """Score `actor` for `steps` control steps of a scoring environment that was just reset."""
    episodes = play(env, actor, steps)
    per_episode = (episodes.score / steps).double().cpu().numpy()
    yaw = episodes.yaw_score
    return Evaluation(
        score=float(per_episode.mean()),
        score_ci=bootstrap_interval(per_episode),
        yaw_score=None if yaw is None else (yaw / steps).mean().item(),
        falls=int(episodes.fell.sum()),
        episodes=env.num_envs,
        cvar25=float(np.sort(per_episode)[: max(1, len(per_episode) // 4)].mean()),
        cost_of_transport=_cost_of_transport(env, episodes),
        action_rate=_action_rate(env, episodes),
        breakdown=break_down(env, episodes),
        episode_scores=tuple(per_episode.tolist()),
    )


def no_op(spec: RobotSpec, task: TaskSpec) -> Actor:
    """The policy that does nothing: a walker stands, an arm keeps its pose, a machine applies no torque."""
    return embodiments.get(task.embodiment).no_op(spec, task)


def _cost_of_transport(env: Worlds, episodes: Episodes) -> float | None:
    moving = episodes.travel / episodes.steps > MOVING * env.space.speed
    if not moving.any():
        return None
    weight = env.space.mass * env.space.gravity
    return (episodes.energy[moving].sum() / (weight * episodes.travel[moving].sum())).item()


def _action_rate(env: Worlds, episodes: Episodes) -> float | None:
    changes = episodes.action_changes.sum()
    return (episodes.action_change.sum() / changes).item() / env.dt if changes > 0 else None
