"""What proofs ask of worlds, beside `envs.worlds.Worlds`."""

from typing import Protocol

import torch

from envs.physics.interface import Physics
from envs.worlds import Worlds


class Provable(Worlds, Protocol):
    """Worlds whose compiled models can be looked at: `VectorEnv`, and native ones of a Gymnasium id."""

    physics: Physics
    """On the batch engine."""
    device: torch.device
    start_rows: torch.Tensor
    """(num_rows, num_state) states in which episodes begin."""

    def _restart(self, worlds: torch.Tensor) -> None:
        """Begin new episodes in `worlds`, (n,)."""
