"""A rollout kept as torch tensors on the learner's device, with generalized advantage estimation."""

from typing import Any, Protocol

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray


class Critic(Protocol):
    """What a rollout asks of a policy."""

    normalizer: Any

    def value(self, normalized: torch.Tensor) -> torch.Tensor:
        """(n,) for normalized observations, (n, width)."""


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
        shape, joints, width = (buffer_size, n_envs), spaces.flatdim(action_space), spaces.flatdim(observation_space)
        self.device = torch.device(device)
        self.observations = torch.zeros(*shape, width, device=device)
        self.normalized = torch.zeros(buffer_size + 1, n_envs, width, device=device)
        """The same as the policy saw them, and those after the last step."""
        self.actions = torch.zeros(*shape, joints, device=device)
        self.means = torch.zeros(*shape, joints, device=device)
        self.rewards = torch.zeros(shape, device=device)
        self.ended = torch.zeros(shape, device=device)
        self.values = torch.zeros(buffer_size + 1, n_envs, device=device)
        self.advantages = torch.zeros(shape, device=device)
        self.reset()

    def reset(self) -> None:
        """Forget which episodes were cut off; every other entry is written again."""
        self._cut: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def add_outcome(
        self,
        step: int,
        reward: torch.Tensor,
        terminated: torch.Tensor,
        truncated: torch.Tensor,
        final: torch.Tensor | None,
    ) -> None:
        """What came of the actions of `step`; `final` observations of ended episodes, or None where none ended."""
        self.rewards[step] = reward
        self.ended[step] = terminated | truncated
        if final is None:
            return
        # A GPU values every world rather than waiting to hear which ones were cut off.
        worlds = (
            truncated.nonzero()[:, 0] if self.device.type == "cpu" else torch.arange(len(final), device=self.device)
        )
        if len(worlds):
            self._cut.append((step * len(final) + worlds, truncated[worlds].float(), final[worlds]))

    @torch.no_grad()
    def finish(self, policy: Critic, observation: torch.Tensor) -> None:
        """Values, time limits and advantages, once all steps are there.

        Args:
            policy: Whose values; they are worked out for the whole rollout at once.
            observation: (num_envs, width) after the last step.
        """
        self.normalized[self.num_steps] = policy.normalizer(observation)
        self.values.view(-1)[:] = policy.value(self.normalized.flatten(0, 1))
        self.value_time_limits(policy)
        self.compute_advantages()

    @torch.no_grad()
    def value_time_limits(self, policy: Critic) -> None:
        """Add to the last reward the value of what a time limit cut off (Pardo et al. 2018, arXiv:1712.00378)."""
        if not self._cut:
            return
        places, truncated, final = (torch.cat(parts) for parts in zip(*self._cut, strict=True))
        beyond = self.gamma * truncated * policy.value(policy.normalizer(final))
        self.rewards.view(-1).index_add_(0, places, beyond)

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


class Episodes:
    """Return and length of every episode that ends, across rollouts.

    Attributes:
        returns: (num_envs,) reward so far of each world's episode.
        lengths: (num_envs,) control steps so far.
    """

    def __init__(self, num_envs: int) -> None:
        self.returns: NDArray[np.float64] = np.zeros(num_envs)
        self.lengths: NDArray[np.int64] = np.zeros(num_envs, np.int64)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that the next rollout's episodes depend on."""
        return {name: torch.from_numpy(value.copy()) for name, value in vars(self).items()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Continue where `state_dict` was taken; begin anew where it is empty, or of other worlds."""
        for name, value in vars(self).items():
            known = name in state and len(state[name]) == len(value)
            setattr(self, name, state[name].numpy().copy() if known else np.zeros_like(value))

    def forget(self, worlds: slice) -> None:
        """Leave out the episodes that these worlds are in: they were broken off."""
        self.returns[worlds], self.lengths[worlds] = 0.0, 0

    def take_in(self, rewards: torch.Tensor, ended: torch.Tensor) -> list[dict[str, float]]:
        """The episodes that ended in a rollout, from its rewards and ends, (num_steps, num_envs), as SB3 has them."""
        sums = rewards.double().cumsum(0).cpu().numpy()
        found = []
        for step, world in np.argwhere(ended.cpu().numpy()):
            found.append({"r": self.returns[world] + sums[step, world], "l": int(self.lengths[world]) + int(step) + 1})
            self.returns[world], self.lengths[world] = -sums[step, world], -(step + 1)
        self.returns += sums[-1]
        self.lengths += len(sums)
        return found
