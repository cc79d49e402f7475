"""A rollout kept as torch tensors on the learner's device, with generalized advantage estimation."""

from typing import Any

import torch
from gymnasium import spaces


class TorchRolloutBuffer:
    """(num_steps, num_envs, ...) tensors of one rollout; constructed as SB3 constructs its rollout buffers."""

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        device: torch.device | str = "cpu",
        gae_lambda: float = 0.95,
        gamma: float = 0.97,
        n_envs: int = 1,
        **_: Any,
    ) -> None:
        self.num_steps, self.gamma, self.gae_lambda = buffer_size, gamma, gae_lambda
        shape, joints = (buffer_size, n_envs), spaces.flatdim(action_space)
        self.observations = torch.zeros(*shape, spaces.flatdim(observation_space), device=device)
        self.actions = torch.zeros(*shape, joints, device=device)
        self.means = torch.zeros(*shape, joints, device=device)
        self.rewards = torch.zeros(shape, device=device)
        self.ended = torch.zeros(shape, device=device)
        self.values = torch.zeros(buffer_size + 1, n_envs, device=device)
        self.log_probs = torch.zeros(shape, device=device)
        self.advantages = torch.zeros(shape, device=device)

    def reset(self) -> None:
        """Nothing is kept between rollouts: every entry is written again."""

    def compute_advantages(self) -> None:
        """Generalized advantage estimation (Schulman et al. 2016, arXiv:1506.02438, section 3)."""
        last = torch.zeros_like(self.rewards[0])
        for t in reversed(range(self.num_steps)):
            alive = 1.0 - self.ended[t]
            delta = self.rewards[t] + self.gamma * alive * self.values[t + 1] - self.values[t]
            self.advantages[t] = last = delta + self.gamma * self.gae_lambda * alive * last

    @property
    def returns(self) -> torch.Tensor:
        """(num_steps, num_envs)."""
        return self.advantages + self.values[:-1]
