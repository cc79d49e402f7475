"""Write the files a controller runs, behind the gate: torch, ONNX Runtime and numpy agree, or nothing is written."""

from dataclasses import asdict
from typing import Any

import envs.tasks
from policies.bundle import read
from policies.export.gate import GateError
from policies.export.write import write_bundle
from policies.skill import load_skill, robot_of
from policies.threads import one_torch_thread
from sim2real.campaign.stage import Stage
from sim2real.commands import Export
from sim2real.stages.results import BUNDLE, SKILL, parent_scores


def export(command: Export, stage: Stage) -> dict[str, Any]:
    """Export a result's skill; see `sim2real.commands.Export`."""
    one_torch_thread()
    skill = load_skill(stage.input() / SKILL)
    spec, task = robot_of(skill.card), envs.tasks.get(skill.card.task)
    scores = parent_scores(stage)
    provenance = {"parent": stage.input().name, "env_steps": skill.card.env_steps}
    try:
        parity = write_bundle(stage.out / BUNDLE, skill, spec, task, scores=scores, provenance=provenance)
    except GateError as error:
        return {"robot": skill.card.robot, "bundle": None, "refused": True, "reason": str(error)}
    written = read(stage.out / BUNDLE)
    (stage.out / "policy.onnx").write_bytes(written.onnx)
    (stage.out / "contract.json").write_text(written.contract.to_json())
    return {
        "robot": skill.card.robot,
        "bundle": BUNDLE,
        "onnx": "policy.onnx",
        "digest": written.digest,
        "bytes": (stage.out / BUNDLE).stat().st_size,
        "parameters": skill.num_parameters,
        "score": scores.get("score"),
        "refused": False,
    } | asdict(parity)
