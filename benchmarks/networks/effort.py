"""How much of the comparison of networks each tier does."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from benchmarks.report import Tier
from benchmarks.transfer.bodies import UNSEEN, Body


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Seeds and environment steps."""

    seeds: tuple[int, ...]
    sources: Mapping[int, int]
    """How many source bodies -> environment steps of their policy."""
    unseen: tuple[Body, ...] = UNSEEN
    turns: int = 7
    """Of the contestants whose cost is compared."""
    decisions: int = 2000
    """Of a turn."""


EFFORTS: Mapping[Tier, Effort] = MappingProxyType(
    {
        "smoke": Effort(seeds=(0,), sources={1: 12_288}, unseen=UNSEEN[4:5], turns=1, decisions=100),
        "ci": Effort(seeds=(0,), sources={1: 400_000}, unseen=(UNSEEN[1], UNSEEN[4]), turns=3),
        "full": Effort(seeds=(0, 1), sources={4: 800_000, 1: 800_000}),
    }
)
