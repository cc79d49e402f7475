"""How much of the transfer benchmark each tier does."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from benchmarks.report import Tier
from benchmarks.transfer.bodies import ARMS, REAL, REAL_ARMS, UNSEEN, Body

NOT_IN_TIER = "takes minutes: not in this tier"
"""Why a short tier leaves a row out."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Bodies, seeds and environment steps."""

    seeds: tuple[int, ...]
    """Of what is trained to be handed over, and of handing it over."""
    specialists: tuple[int, ...]
    """Seeds of the specialists; none where recorded scores will do."""
    sources: Mapping[int, int]
    """How many source bodies -> environment steps of their policy."""
    unseen: tuple[Body, ...] = UNSEEN
    real: tuple[Body, ...] = REAL
    go1_steps: int = 1_400_000
    """Of the policy that real robots are given."""
    tuning: int = 400_000
    """To fine-tune it: 27 s on two idle cores of a 2024 server at 15 000 steps/s."""
    pairs: tuple[str, ...] = ("12 to 8", "8 to 12", "quadruped to hexapod")
    """Of joint counts."""
    joints: int = 1_000_000
    """Of each arm where joint counts change."""
    teaching: int = 400_000
    """Of a robot that another one teaches, and of what it is compared with; 0 leaves it out."""
    arm_source: int = 250_000
    arm_tuning: int = 200_000
    arms: tuple[Body, ...] = ARMS
    real_arms: tuple[Body, ...] = REAL_ARMS
    turns: int = 5
    """Of the contestants whose cost is compared."""

    def first(self, seeds: int) -> "Effort":
        """The same for so many seeds."""
        return replace(self, seeds=self.seeds[:seeds], specialists=self.specialists[:seeds])


EFFORTS: Mapping[Tier, Effort] = MappingProxyType(
    {
        "smoke": Effort(
            seeds=(0,),
            specialists=(),
            sources={1: 12_288},
            unseen=UNSEEN[4:5],
            real=(),
            pairs=(),
            arm_source=12_288,
            arms=ARMS[:1],
            real_arms=(),
            turns=1,
            teaching=0,
        ),
        "ci": Effort(
            seeds=(0,),
            specialists=(),
            sources={1: 450_000},
            unseen=(UNSEEN[1], UNSEEN[4]),
            real=(),
            pairs=("12 to 8",),
            joints=60_000,
            arm_source=80_000,
            arms=ARMS[2:3],
            real_arms=(),
            turns=3,
            teaching=0,
        ),
        "full": Effort(
            seeds=(0, 1, 2), specialists=(0, 1, 2, 3, 4), sources={1: 2_000_000, 2: 3_000_000, 4: 4_000_000}
        ),
    }
)
