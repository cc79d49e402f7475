"""The verdict on a transfer: one rule, as text and as code.

The rule reads 95 % intervals of measures (see `sim2real.statistics`), and the verdict names those that decided it.
"""

from dataclasses import dataclass
from typing import Literal

from sim2real.statistics import Estimate, TransferMeasures

MAX_ASYMPTOTE_LOSS = 0.03
"""A transfer may end this much below learning from scratch and still be good [score]."""
RULE = (
    "POSITIVE if lower CI of jumpstart > 0 or lower CI SSR > 1, and upper CI of asymptote loss < 0.03; "
    "NEGATIVE if upper CI of transfer ratio < 0; else INCONCLUSIVE."
)
TERMS = (
    "CI: 95 % bootstrap interval. Jumpstart: score at the start, transfer − scratch. SSR: step-saving ratio, steps to "
    "the threshold from scratch ÷ with transfer. Asymptote loss: mean score over the last fifth of the budget, "
    "scratch − transfer. Transfer ratio: (area under transfer − area under scratch) ÷ area under scratch. "
    "A transfer that is both POSITIVE and NEGATIVE is INCONCLUSIVE."
)
Word = Literal["POSITIVE", "NEGATIVE", "INCONCLUSIVE"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the rule says, and the intervals it read."""

    word: Word
    reason: str
    """The comparisons that decided, with their numbers."""
    jumpstart: Estimate
    step_saving_ratio: Estimate
    asymptote_loss: Estimate
    transfer_ratio: Estimate


def judge(measures: TransferMeasures) -> Verdict:
    """Apply `RULE`."""
    gain, ratio = measures.asymptotic_gain, measures.transfer_ratio
    loss = Estimate(-gain.value, -gain.hi, -gain.lo)
    starts_better, learns_faster = measures.jumpstart.lo > 0.0, measures.step_saving_ratio.lo > 1.0
    ends_as_well = loss.hi < MAX_ASYMPTOTE_LOSS
    good, bad = (starts_better or learns_faster) and ends_as_well, ratio.hi < 0.0
    word: Word = "INCONCLUSIVE" if good == bad else "POSITIVE" if good else "NEGATIVE"
    head_start = (
        _compared("jumpstart", measures.jumpstart, "lower", ">", 0.0, starts_better),
        _compared("SSR", measures.step_saving_ratio, "lower", ">", 1.0, learns_faster),
    )
    decided = {
        "POSITIVE": [*_those(head_start, starts_better, learns_faster), _loss(loss, ends_as_well)],
        "NEGATIVE": [_compared("transfer ratio", ratio, "upper", "<", 0.0, bad)],
        "INCONCLUSIVE": [
            *head_start,
            _loss(loss, ends_as_well),
            _compared("transfer ratio", ratio, "upper", "<", 0.0, bad),
        ],
    }
    return Verdict(
        word=word,
        reason="; ".join(decided[word]) + _caveats(measures),
        jumpstart=measures.jumpstart,
        step_saving_ratio=measures.step_saving_ratio,
        asymptote_loss=loss,
        transfer_ratio=ratio,
    )


def _those(texts: tuple[str, ...], *chosen: bool) -> list[str]:
    return [text for text, keep in zip(texts, chosen, strict=True) if keep]


def _loss(loss: Estimate, holds: bool) -> str:
    return _compared("asymptote loss", loss, "upper", "<", MAX_ASYMPTOTE_LOSS, holds)


def _compared(
    name: str, estimate: Estimate, side: Literal["lower", "upper"], sign: str, limit: float, holds: bool
) -> str:
    """Such as `lower CI of jumpstart +0.212 > 0`, or the same with `is not`."""
    value = estimate.lo if side == "lower" else estimate.hi
    return f"{side} CI of {name} {value:.3f} {sign if holds else f'is not {sign}'} {limit:g}"


def _caveats(measures: TransferMeasures) -> str:
    caveats = []
    if measures.num_seeds == 1:
        caveats.append("one training seed an arm: intervals hold the luck of the episodes, not of training")
    if not measures.scratch_flattened:
        caveats.append("scratch was still rising at the end of the budget, which flatters the transfer")
    return f" ({'; '.join(caveats)})" if caveats else ""
