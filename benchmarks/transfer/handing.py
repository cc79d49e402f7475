"""A skill handed to another robot by `sim2real transfer`: its score at once, after training, and from scratch.

Every piece trains two arms at equal steps: PPO that starts from the skill and holds on to it at first (kickstarting,
Schmitt et al. 2018, arXiv:1803.03835), and PPO from scratch.
"""

from pathlib import Path
from typing import Any

import envs.tasks
import robots
from benchmarks.transfer import runs
from benchmarks.transfer.bodies import Body
from benchmarks.transfer.work import Piece, Work
from policies.evaluation import evaluate, no_op
from policies.training import CURVE_EPISODES, CURVE_SECONDS
from sim2real.stages.results import TOKENS


def handed(source: Piece, body: Body, budget: int, seed: int) -> Piece:
    """What `source` learned, handed to `body` and trained there for `budget` environment steps."""
    label = f"{source.label} to {body.label} {budget} {seed}"
    return runs.command("transfer", label, body, run=source, to=body.robot, budget=budget, seed=seed)


def do(piece: Piece, folder: Path, work: Work) -> dict[str, Any]:
    """Both arms; also `idle`, the score of doing nothing over the episodes of the learning curves."""
    result = runs.run(piece, folder, work)
    if result["refused"]:
        raise ValueError(f"{piece.label}: {result['reason']}")
    spec, task = robots.get(result["robot"]), envs.tasks.get(result["task"])
    idle = evaluate(
        spec,
        task,
        no_op(spec, task),
        episodes=CURVE_EPISODES,
        seconds=CURVE_SECONDS,
        num_threads=work.num_threads,
    )
    return result | {"idle": idle.score}


def give(source: Piece, body: Body, budget: int, seed: int, work: Work) -> dict[str, Any] | None:
    """The result of handing over what `source`, which is done, learned; a policy over joints is folded first."""
    if (runs.left_by(source.key, work) / TOKENS).is_file():
        source = runs.command("fold", f"{source.label} as {body.label}", body, run=source, to=body.robot)
        if not work.do(source, runs.run):
            return None
    return work.do(handed(source, body, budget, seed), do)


def training_seconds(result: dict[str, Any]) -> float:
    """Time that the skill was trained for, evaluations left out [s]."""
    return float(result["env_steps"] / result["env_steps_per_s"])
