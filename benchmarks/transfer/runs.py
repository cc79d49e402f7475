"""Pieces that are commands of sim2real, and what is scored of their skills."""

from pathlib import Path
from typing import Any

import envs.tasks
import robots
from benchmarks.transfer.bodies import Body
from benchmarks.transfer.work import Piece, Work
from policies.evaluation import evaluate, no_op
from policies.skill import Skill
from policies.starting import moved
from policies.threads import one_torch_thread
from policies.tokens.generalist import load_generalist
from sim2real import api
from sim2real.commands import KINDS
from sim2real.stages.results import SKILL, TOKENS

OF = "piece:"
"""Before the key of a piece, where a command takes its result."""


def command(kind: str, label: str, *bodies: Body, **arguments: Any) -> Piece:
    """A command with `arguments`; a `Piece` among them stands for its result.

    Args:
        kind: Of the stage, such as "train".
        label: How people tell it apart.
        bodies: Whose models decide the result.
        arguments: Of `sim2real.api`.
    """
    given = {name: OF + value.key if isinstance(value, Piece) else value for name, value in arguments.items()}
    hashes = {body.robot: body.spec.model_hash for body in bodies}
    what = {"arguments": given, "version": KINDS[kind].version, "model_hashes": hashes}
    return Piece(kind=kind, label=label, what=what)


def run(piece: Piece, folder: Path, work: Work) -> dict[str, Any]:
    """Run the command of a piece in the store of `work`; what came of it, and the key of its stage."""
    arguments = {name: _argument(value, work) for name, value in piece.what["arguments"].items()}
    result = getattr(api, piece.kind)(**arguments, store=work.store)
    return {name: value for name, value in result.items() if name not in ("run", "cached", "bundle")}


def _argument(value: Any, work: Work) -> Any:
    return str(left_by(value.removeprefix(OF), work)) if isinstance(value, str) and value.startswith(OF) else value


def left_by(key: str, work: Work) -> Path:
    """The folder with the files of the piece of this key: in the store for a command, else its own.

    Raises:
        LookupError: it is not done.
    """
    folder = next(work.root.glob(f"*/*-{key}"), None)
    result = work.result_in(folder) if folder else None
    if folder is None or result is None:
        raise LookupError(f"the piece {key} is not done in {work.root}; do it before what needs it")
    return work.store / "out" / result["key"] if "key" in result else folder


def zero_shot(source: Piece, body: Body) -> Piece:
    """The score of what a source learned, on another body, as it is."""
    what = {"source": source.key, "robot": body.robot, "model_hash": body.spec.model_hash, "task": body.task}
    return Piece(kind="zero_shot", label=f"{source.label} on {body.label}", what=what)


def score(piece: Piece, folder: Path, work: Work) -> dict[str, Any]:
    """Score a `zero_shot` piece on the fixed episodes."""
    one_torch_thread()
    robot, task = piece.what["robot"], envs.tasks.get(piece.what["task"])
    spec, skill = robots.get(robot), skill_on(left_by(piece.what["source"], work), robot)
    evaluation = evaluate(spec, task, skill.player(), num_threads=work.num_threads)
    idle = evaluate(spec, task, no_op(spec, task), num_threads=work.num_threads)
    return {
        "score": evaluation.score,
        "yaw_score": evaluation.yaw_score,
        "falls": evaluation.falls,
        "no_op": idle.score,
    }


def skill_on(folder: Path, robot: str) -> Skill:
    """What the result in `folder` learned, on a robot: of a policy over joints, or of a plain network.

    Raises:
        ValueError: it cannot drive that robot.
    """
    tokens = folder / TOKENS
    return load_generalist(tokens).skill_on(robot) if tokens.is_file() else moved(folder / SKILL, robot)
