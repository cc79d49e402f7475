"""Stable-Baselines3's replay buffer with minibatches that a restored run draws again."""

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples


class OwnedReplayBuffer(ReplayBuffer):
    """A replay buffer whose minibatches come from a generator of its own."""

    def __init__(self, *given: Any, generator: torch.Generator, **others: Any) -> None:
        super().__init__(*given, **others)
        self.generator = generator

    @property
    def stored(self) -> int:
        """Control steps in it, of every world."""
        return self.buffer_size if self.full else self.pos

    def sample(self, batch_size: int, env: Any = None) -> ReplayBufferSamples:
        """A minibatch; a time limit ends no episode (Pardo et al. 2018, arXiv:1712.00378)."""
        drawn = torch.randint(self.stored * self.n_envs, (batch_size,), generator=self.generator).numpy()
        at = np.divmod(drawn, self.n_envs)
        ended = self.dones[at] * (1.0 - self.timeouts[at])
        parts = (
            self.observations[at],
            self.actions[at],
            self.next_observations[at],
            ended[:, None],
            self.rewards[at][:, None],
        )
        return ReplayBufferSamples(*map(torch.from_numpy, parts))
