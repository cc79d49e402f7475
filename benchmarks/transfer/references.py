"""Where R_spec comes from: specialists that were trained here, or what a full run has recorded of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.report import Origin
from benchmarks.transfer import specialists
from benchmarks.transfer.bodies import TAUGHT, Body
from benchmarks.transfer.effort import Effort
from benchmarks.transfer.scores import Reference, reference
from benchmarks.transfer.work import Work
from sim2real.campaign.files import read_json

RECORDED = Path(__file__).parents[1] / "results" / "transfer_bodies.json"
SPECIALISTS = "specialists"
"""Key in a result of what `record` gives."""


@dataclass(kw_only=True)
class Known:
    """Scores of the specialists of one body."""

    model_hash: str
    no_op: float
    scores: dict[str, dict[int, float]] = field(default_factory=dict)
    """Network -> training seed -> score."""
    unfinished: list[str] = field(default_factory=list)
    """Trainings that had not flattened at the greatest number of steps, as "NETWORK SEED"."""
    source: Origin = "measured"

    def reference(self) -> Reference:
        """What counts as 0 and 1."""
        return reference(self.no_op, {name: list(scores.values()) for name, scores in self.scores.items()})

    def record(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "model_hash": self.model_hash,
            "no_op": self.no_op,
            "scores": {name: {str(seed): score for seed, score in each.items()} for name, each in self.scores.items()},
            "unfinished": self.unfinished,
        }

    @staticmethod
    def of_record(record: Mapping[str, Any]) -> "Known":
        """From what `record` gave."""
        scores = {name: {int(seed): score for seed, score in each.items()} for name, each in record["scores"].items()}
        return Known(
            model_hash=record["model_hash"],
            no_op=record["no_op"],
            scores=scores,
            unfinished=list(record["unfinished"]),
            source="recorded",
        )


def known(bodies: Sequence[Body], effort: Effort, work: Work) -> dict[str, Known]:
    """The specialists of bodies, by label; those without any are left out."""
    found = {body.label: _measured(body, effort, work) if effort.specialists else _recorded(body) for body in bodies}
    return {label: known for label, known in found.items() if known}


def record(effort: Effort, work: Work) -> dict[str, Any]:
    """ROBOT:TASK -> the specialists of every body that has any, as JSON data."""
    bodies = (*effort.unseen, *TAUGHT, *effort.arms, *effort.real_arms)
    found = known(bodies, effort, work)
    return {body.member: found[body.label].record() for body in bodies if body.label in found}


def _measured(body: Body, effort: Effort, work: Work) -> Known | None:
    known = None
    for seed in effort.specialists:
        for network in specialists.NETWORKS:
            result = work.do(specialists.specialist(body, network, seed), specialists.do)
            if result:
                known = known or Known(model_hash=body.spec.model_hash, no_op=result["no_op"])
                known.scores.setdefault(network, {})[seed] = result["score"]
                known.unfinished += [] if result["flat"] else [f"{network} {seed}"]
    return known


def _recorded(body: Body) -> Known | None:
    """What a full run recorded; nothing if the robot has changed since."""
    if not RECORDED.is_file():
        return None
    record = read_json(RECORDED)["result"].get(SPECIALISTS, {}).get(body.member)
    return Known.of_record(record) if record and record["model_hash"] == body.spec.model_hash else None
