"""Rewards of several members brought to one size, so that no member's values drown another's.

A member's reward is divided by the running root mean square of its own discounted returns (van Hasselt et al. 2016,
arXiv:1602.07714, balance tasks by their returns in the same way, in the critic).
"""

from typing import Any

import torch

MIN_RETURN = 1e-4
"""Smallest root mean square that is believed [1]: a member that never saw a reward is left as it is."""


class ReturnScale:
    """Running size of the discounted returns of each member.

    Args:
        num_members: Members.
        num_envs: Worlds of each member.
        gamma: Discount a control step.
    """

    def __init__(self, num_members: int, num_envs: int, gamma: float) -> None:
        self.gamma = gamma
        self.returns = torch.zeros(num_members, num_envs, dtype=torch.float64)
        """Discounted sum of what each world has earned in its episode, (num_members, num_envs)."""
        self.squares = torch.zeros(num_members, dtype=torch.float64)
        self.count = torch.zeros((), dtype=torch.float64)
        """Steps taken."""

    @property
    def size(self) -> torch.Tensor:
        """Root mean square of returns so far, (num_members,); 1 where there was no reward yet."""
        size = (self.squares / self.count.clamp(min=1.0)).sqrt()
        return torch.where(size > MIN_RETURN, size, 1.0).float()

    def __call__(self, reward: torch.Tensor, ended: torch.Tensor) -> torch.Tensor:
        """Rewards by the size of their member's returns, (num_members, num_envs); `ended` where an episode did."""
        self.count += 1
        self.returns = self.gamma * self.returns + reward
        seen = 1.0 - self.gamma ** float(self.count)  # of a sum without end; all sums began together, with nothing
        self.squares += (self.returns / seen).square().mean(-1)
        self.returns[ended] = 0.0
        return reward / self.size[:, None]

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that the next step depends on."""
        return {"returns": self.returns.clone(), "squares": self.squares.clone(), "count": self.count.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        for name in ("returns", "squares", "count"):
            setattr(self, name, state[name].clone())
