"""What a TARGET names: a robot, or a result that holds a skill."""

import os
from dataclasses import dataclass
from pathlib import Path

import robots
from sim2real.campaign.store import RUN_JSON, Store

SKILL = "skill.safetensors"
"""As `sim2real.stages.results` has it, which imports torch."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is to be seen, by names that another process understands too."""

    robot: str
    """As `robots.get` takes it; empty for the robot that `skill` was trained on."""
    skill: str = ""
    """Path of a `skill.safetensors`; empty for a bare robot."""


def find(target: str, store: Store) -> Target:
    """The robot or the skill called `target`.

    Raises:
        LookupError: it is neither; the message lists what exists.
        FileNotFoundError: it is a result without a skill.
    """
    folder = Path(target)
    if os.path.isfile(folder / RUN_JSON) and not os.path.isfile(folder / "robot.json"):  # pathlib raises for long names
        return Target(robot="", skill=_skill(store.find(target).folder))
    try:
        robots.get(target)
    except LookupError as no_robot:
        return Target(robot="", skill=_skill(_result(target, store, no_robot)))
    return Target(robot=os.path.abspath(target) if os.path.isdir(folder) else target)


def _result(target: str, store: Store, no_robot: LookupError) -> Path:
    try:
        return store.find(target).folder
    except LookupError as no_run:
        raise LookupError(f"{target!r} is neither a robot nor a result: {no_robot}; {no_run}") from None


def _skill(folder: Path) -> str:
    if not (folder / SKILL).is_file():
        raise FileNotFoundError(f"{folder} holds no {SKILL}; name a result of train, distill, transfer or fold")
    return str(folder / SKILL)
