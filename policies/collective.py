"""Learners that learn together: what they must agree on, averaged.

Ranks simulate worlds of their own and keep equal weights: gradients, divergences and moments are averaged wherever a
decision hangs on them. Several processes do it through `sim2real.collective.Together`.
"""

import hashlib
from collections.abc import Sequence
from typing import Protocol

import torch

from envs.state_dicts import Tensors


class Collective(Protocol):
    """A group of learners in step with each other."""

    rank: int
    size: int

    def average(self, tensors: list[torch.Tensor], channel: str) -> None:
        """Replace each tensor by its mean over all ranks, in place.

        Args:
            tensors: Of the same shapes on every rank.
            channel: "actor", "critic" or "control". Every rank makes the same calls on a channel in the same order;
                channels do not wait for each other, so that threads can use one each.
        """

    def first(self, value: torch.Tensor) -> torch.Tensor:
        """What rank 0 gave: a decision for all. Shapes and types are the same on every rank."""

    def gather(self, tensors: Tensors) -> list[Tensors]:
        """The tensors of every rank, at rank 0; nothing at the others."""


class Alone:
    """One learner: every mean is its own number."""

    rank = 0
    size = 1

    def average(self, tensors: list[torch.Tensor], channel: str) -> None:
        """Nothing to do."""

    def first(self, value: torch.Tensor) -> torch.Tensor:
        return value

    def gather(self, tensors: Tensors) -> list[Tensors]:
        return [tensors]


ALONE = Alone()


def told(collective: Collective, numbers: Sequence[float]) -> list[float]:
    """The numbers of rank 0, however many, on every rank: what it measured, or decided."""
    own = torch.tensor([*numbers], dtype=torch.float64)
    count = int(collective.first(torch.tensor([len(own)])))
    return collective.first(own if collective.rank == 0 else torch.zeros(count, dtype=torch.float64)).tolist()


class DriftedError(RuntimeError):
    """Learners that must be equal are not."""


def refuse_drift(collective: Collective, tensors: Tensors, env_steps: int) -> None:
    """Check that `tensors` are the same on every rank, to the bit.

    Raises:
        DriftedError: on all ranks, where one differs from rank 0.
    """
    if collective.size == 1:
        return
    digest = torch.frombuffer(bytearray(_digest(tensors)), dtype=torch.uint8)
    equal = torch.tensor(float(torch.equal(digest, collective.first(digest.clone()))))
    collective.average([equal], "control")
    if equal < 1.0:
        raise DriftedError(
            f"after {env_steps} steps the learners of {collective.size} workers differ in their weights or moments, "
            "which no update allows; resume from an earlier checkpoint on machines of one kind (the last bit of a "
            "product depends on the processor), and report it if they were"
        )


def _digest(tensors: Tensors) -> bytes:
    """SHA-256 of names and values."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(name.encode())
        total.update(tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.digest()
