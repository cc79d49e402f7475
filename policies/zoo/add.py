"""Take the result of a recipe into the zoo: a signed bundle and its card.

    sim2real run launch/zoo_go1.yaml
    python -m policies.zoo.add runs/zoo_go1 --name go1 --key KEY.pem

FOLDER is what `sim2real run` names as its result: the folder of the campaign. The bundle is that of the last stage that
has one; the card tells its robot, units, rate, contract, scores, recipe, licence and learning curves.
"""

import argparse
import importlib.metadata
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import robots
from policies import bundle, signing, zoo
from policies.bundle import Bundle

SCHEMA = 1
LICENCE = "Apache-2.0"
SCORES = ("score", "score_ci", "yaw_score", "falls", "episodes", "cvar25", "cost_of_transport", "action_rate")
"""Of an evaluation, those that a card tells, where there are."""
MEASURED = ("score", "loss")
"""What a point of a learning curve may say."""


def add(campaign: Path, name: str, key: Path, folder: Path = zoo.FOLDER) -> dict[str, Any]:
    """Make the result of a campaign the zoo's skill `name`; returns its card.

    Args:
        campaign: Folder of a campaign that ran to its end, with `run.json`.
        name: Of the skill; an older one of that name is replaced.
        key: Private key of the zoo.
        folder: The zoo.

    Raises:
        FileNotFoundError: no campaign, no key, or no bundle in it.
        ValueError: the bundle is too large, or of a robot that is not the same any more.
    """
    record = _record(campaign)
    source = _last_bundle(campaign, record)
    content = bundle.read(source)
    _refuse(source, content)
    target = folder / f"{name}.s2r"
    temporary = folder / f".{name}.s2r"
    try:
        shutil.copyfile(source, temporary)
        digest = signing.sign(temporary, key)
        size = temporary.stat().st_size
        if size > zoo.MAX_BYTES:
            raise ValueError(f"{source}: a skill of the zoo has <= {zoo.MAX_BYTES} bytes, got {size}: distil smaller")
        told = card(name, content, record) | {"digest": digest, "bytes": size}
        text = json.dumps(told, indent=2, allow_nan=False) + "\n"
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    target.with_suffix(".json").write_text(text, encoding="utf-8")
    return told


def card(name: str, content: Bundle, record: dict[str, Any]) -> dict[str, Any]:
    """What is to be known of a skill, but for its file."""
    contract, recipe = content.contract, record["name"]
    units = {unit: getattr(contract, unit) for unit in ("length", "mass", "speed", "time")}
    network = {part: getattr(contract, part) for part in ("architecture", "activation", "history", "memory")}
    sizes = {part: list(value.shape) for part, value in content.weights.items()}
    return {
        "schema": SCHEMA,
        "name": name,
        "robot": contract.robot,
        "model_hash": contract.model_hash,
        "task": contract.task,
        "licence": LICENCE,
        "sim2real": importlib.metadata.version("sim2real"),
        "control_hz": round(1.0 / contract.control_period, 6),
        "units": units,
        "contract": {
            "joints": list(contract.joint_names),
            "observations": {term.name: term.width for term in contract.observations},
            "command_low": list(contract.command_low),
            "command_high": list(contract.command_high),
            "delay_range": list(contract.delay_range),
            "action_clip": contract.action_clip,
        },
        "network": network | {"weights": sizes},
        "scores": {score: content.scores[score] for score in SCORES if score in content.scores},
        "recipe": recipe,
        "commands": [
            f"sim2real run launch/{recipe}.yaml",
            f"python -m policies.zoo.add runs/{recipe} --name {name} --key KEY.pem",
        ],
        "env_steps": sum(int(_metrics(stage).get("env_steps") or 0) for stage in record["result"]["stages"]),
        "curve": [point for stage in record["result"]["stages"] for point in _curve(stage)],
        "commit": record["provenance"].get("commit"),
    }


def _record(campaign: Path) -> dict[str, Any]:
    path = campaign / "run.json"
    if not path.is_file():
        raise FileNotFoundError(f"no campaign {campaign}: name the folder, with run.json, that `sim2real run` told")
    record = json.loads(path.read_text(encoding="utf-8"))
    if "stages" not in record.get("result", {}) or "name" not in record:
        raise ValueError(f"{campaign} is a stage's result, no campaign: name the folder above that the recipe made")
    return record


def _last_bundle(campaign: Path, record: dict[str, Any]) -> Path:
    found = [campaign / stage["name"] / "policy.s2r" for stage in record["result"]["stages"]]
    there = [path for path in found if path.is_file()]
    if not there:
        names = ", ".join(stage["name"] for stage in record["result"]["stages"])
        raise FileNotFoundError(f"{campaign}: none of its stages ({names}) has a bundle; add an export to the recipe")
    return there[-1]


def _refuse(path: Path, content: Bundle) -> None:
    robot = content.contract.robot
    today = robots.get(robot).model_hash
    if content.contract.model_hash != today:
        raise ValueError(
            f"{path}: its {robot} has model hash {content.contract.model_hash}, that of today has {today}: run the "
            "recipe again"
        )
    if "score" not in content.scores or "score_ci" not in content.scores:
        raise ValueError(f"{path}: it carries no score and interval, only {sorted(content.scores)}; export it again")


def _metrics(stage: dict[str, Any]) -> dict[str, Any]:
    return stage["metrics"] or {}


def _curve(stage: dict[str, Any]) -> list[dict[str, Any]]:
    """Points of a stage: `env_steps` and a score, or a distillation's loss."""
    metrics = _metrics(stage)
    points = metrics.get("curve") or metrics.get("losses") or []
    return [
        {"stage": stage["name"], "env_steps": point["env_steps"]}
        | {what: round(float(point[what]), 4) for what in MEASURED if point.get(what) is not None}
        for point in points
    ]


def main(argv: list[str] | None = None) -> int:
    """The command; see the module."""
    parser = argparse.ArgumentParser(prog="python -m policies.zoo.add", description=__doc__)
    parser.add_argument("folder", type=Path, help="the campaign's folder, such as runs/zoo_go1")
    parser.add_argument("--name", required=True, help="of the skill, as in zoo:NAME")
    parser.add_argument("--key", required=True, type=Path, help="private key of the zoo")
    given = parser.parse_args(argv)
    try:
        told = add(given.folder, given.name, given.key)
    except (OSError, ValueError, LookupError) as error:
        print(f"policies.zoo.add: {error}", file=sys.stderr)
        return 2
    print(f"zoo:{told['name']}: {told['robot']}, score {told['scores']['score']:.3f}, {told['bytes']} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
