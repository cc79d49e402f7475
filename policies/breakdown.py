"""Scores by what was asked for: commanded velocities, kinds of ground, distances of targets.

Each criterion splits the same episodes again, so a breakdown costs no simulation. Bounds are shares of the largest
command of the score, or lengths in units of L: robots of any size are split alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from envs.commands import is_standing
from envs.embodiments.arm import ArmWorld
from envs.embodiments.legged import LeggedWorld
from envs.terrain import KINDS, TerrainSpec
from envs.worlds import Worlds
from policies.episodes import Episodes
from robots.joint_space import JointSpace

RESAMPLES = 2000
FAST = 0.5
"""Share of the largest commanded velocity from which on a command counts as fast, or as sideways, or as turning."""
SPLITS = {
    "vx": (("fast backward", "slow backward", "slow forward", "fast forward"), (-FAST, 0.0, FAST)),
    "vy": (("right", "hardly sideways", "left"), (-FAST, FAST)),
    "yaw_rate": (("turning right", "hardly turning", "turning left"), (-FAST, FAST)),
}
"""Component of a velocity command -> names of its groups, and the bounds between them."""
DISTANCES = (0.3, 0.45, 0.6)
"""Bounds between groups of targets: how far from the tool they are at the start [L]."""
Masks = dict[str, dict[str, torch.Tensor]]
"""Criterion -> group -> (n,) True for the episodes that belong to it."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Scores of some of the episodes."""

    episodes: int
    score: float
    score_ci: tuple[float, float]
    """95 % bootstrap interval over the group's episodes."""
    yaw_score: float | None
    """None of tasks that do not turn."""
    falls: int


Breakdown = dict[str, dict[str, Group]]
"""Criterion -> name -> scores; groups without episodes are left out, and so are criteria without groups."""


def bootstrap_interval(values: NDArray[np.float64], resamples: int = RESAMPLES) -> tuple[float, float]:
    """95 % percentile interval of the mean, from fixed resamples."""
    rows = np.random.default_rng(0).integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(values[rows].mean(-1), [0.025, 0.975])
    return float(low), float(high)


def break_down(env: Worlds, episodes: Episodes) -> Breakdown:
    """Scores by all criteria that the task has."""
    found = {
        criterion: {name: _group(episodes, mask.cpu()) for name, mask in masks.items() if mask.any()}
        for criterion, masks in criteria(env, episodes).items()
    }
    return {criterion: groups for criterion, groups in found.items() if groups}


def criteria(env: Worlds, episodes: Episodes) -> Masks:
    """What the episodes can be split by; nothing where nothing is asked for but the task itself."""
    first = episodes.first
    if isinstance(first, ArmWorld):
        return {"distance": by_distance(first.error.norm(dim=-1) / env.space.length)}
    if not isinstance(first, LeggedWorld):
        return {}
    found = by_command(first.command, env.task.score_command_high, env.space)
    if env.task.terrain and episodes.origin is not None:
        found |= by_ground(episodes.origin[:, :2] / env.space.length, env.task.terrain)
    return found


def by_command(command: torch.Tensor, high: tuple[float, float, float], space: JointSpace) -> Masks:
    """Groups of velocity commands, (n, 3); none for a task that commands no velocity.

    Args:
        command: vx [m/s], vy [m/s], yaw rate [rad/s].
        high: Largest of each, in units of √(gL), √(gL), 1/T.
        space: Units of the robot.
    """
    if not any(high):
        return {}
    standing = is_standing(command, speed=space.speed, time=space.time)[:, 0]
    found: Masks = {"motion": {"standing": standing, "moving": ~standing}}
    for column, (criterion, (names, bounds)) in enumerate(SPLITS.items()):
        unit = (space.speed, space.speed, 1.0 / space.time)[column]
        if high[column] > 0.0:
            parts = split(command[:, column] / (unit * high[column]), bounds, names)
            found[criterion] = {name: mask & ~standing for name, mask in parts.items()}
    return found


def by_ground(origin: torch.Tensor, terrain: TerrainSpec) -> Masks:
    """Groups of tiles on which episodes began, at (n, 2) [L]: by kind of obstacle, and by how hard they are."""
    level, kind = terrain.tile_at(origin)
    ground = {"flat": level == 0}
    ground |= {name: (kind == index) & (level > 0) for index, name in enumerate(KINDS)}
    return {"ground": ground, "level": {str(index): level == index for index in range(terrain.levels)}}


def by_distance(distance: torch.Tensor) -> dict[str, torch.Tensor]:
    """Groups of targets by how far away they are at the start, (n,) [L]."""
    lower = [f"{bound:g}" for bound in (0.0, *DISTANCES)]
    names = [f"{low} to {high} L" for low, high in pairwise(lower)] + [f"over {lower[-1]} L"]
    return split(distance, DISTANCES, names)


def split(values: torch.Tensor, bounds: Sequence[float], names: Sequence[str]) -> dict[str, torch.Tensor]:
    """(n,) True where values, (n,), lie between bounds: a name for each stretch, a bound belongs to the upper one."""
    place = torch.bucketize(values, values.new_tensor(bounds), right=True)
    return {name: place == index for index, name in enumerate(names)}


def _group(episodes: Episodes, mask: torch.Tensor) -> Group:
    scores = (episodes.score / episodes.steps).double().cpu()[mask].numpy()
    yaw = episodes.yaw_score
    return Group(
        episodes=len(scores),
        score=float(scores.mean()),
        score_ci=bootstrap_interval(scores),
        yaw_score=None if yaw is None else (yaw.cpu()[mask] / episodes.steps).mean().item(),
        falls=int(episodes.fell.cpu()[mask].sum()),
    )
