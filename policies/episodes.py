"""Episodes side by side: one actor in many worlds, and what each of its episodes came to.

All episodes begin together and have the same number of ticks. What happens after a fall counts nothing, though the
world begins anew and goes on.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from envs.embodiments.embodiment import Actor
from envs.embodiments.legged import LeggedEpisode, LeggedWorld
from envs.task import World
from envs.worlds import Worlds


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """One row for each episode; sums are over the ticks before a fall."""

    steps: int
    """Ticks of every episode."""
    score: torch.Tensor
    """(n,) sum of the task's score."""
    yaw_score: torch.Tensor | None
    """(n,) sum of the yaw score; None of tasks that do not turn."""
    fell: torch.Tensor
    """(n,) bool."""
    energy: torch.Tensor
    """(n,) sum of mechanical power [W]; 0 of what has no legs."""
    travel: torch.Tensor
    """(n,) sum of horizontal speeds [m/s]; 0 of what has no legs."""
    action_change: torch.Tensor
    """(n,) sum of |Δaction| from one tick to the next, mean over joints."""
    action_changes: torch.Tensor
    """(n,) how many ticks that sum has."""
    first: World
    """Ground truth after the first tick: what was asked for."""
    origin: torch.Tensor | None
    """(n, 3) where walkers began [m]; None of what has no legs."""


@torch.no_grad()
def play(env: Worlds, actor: Actor, steps: int, disturb: Callable[[int], None] = lambda tick: None) -> Episodes:
    """Let `actor` act for `steps` control steps of a scoring environment that has just begun.

    Args:
        env: Whose episodes begin now.
        actor: Sees the raw observations.
        steps: Ticks of the episodes.
        disturb: Called before each tick, counted from 0.
    """
    observation, n = env.observation(), env.num_envs
    device = observation.device
    alive = torch.ones(n, dtype=torch.bool, device=device)

    def counted(values: torch.Tensor) -> torch.Tensor:  # not times `alive`: 0·NaN of a lost world would be NaN
        return torch.where(alive, values, 0.0)

    score, yaw, energy, travel, change, changes = (torch.zeros(n, device=device) for _ in range(6))
    episode, first = getattr(env, "episode", None), None
    origin = episode.origin.clone() if isinstance(episode, LeggedEpisode) else None
    for tick in range(steps):
        disturb(tick)
        step = env.step(actor(observation))
        observation, world = step.observation, step.world
        alive &= ~step.terminated
        score += counted(env.task.score(world, env.space))
        if env.task.yaw_score:
            yaw += counted(env.task.yaw_score(world, env.space))
        if isinstance(world, LeggedWorld):
            energy += counted((world.torque * world.joint_vel).abs().sum(-1))
            travel += counted(world.velocity[:, :2].norm(dim=-1))
        if first is None:  # an actor's first action follows on none
            first = world
        else:
            change += counted((world.action - world.previous_action).abs().mean(-1))
            changes += alive
    assert first is not None, "an episode has at least one tick"
    return Episodes(
        steps=steps,
        score=score,
        yaw_score=yaw if env.task.yaw_score else None,
        fell=~alive,
        energy=energy,
        travel=travel,
        action_change=change,
        action_changes=changes,
        first=first,
        origin=origin,
    )
