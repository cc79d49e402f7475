"""Take one member of a multitask policy as a result of its own, which every other stage accepts."""

import shutil
from typing import Any

from policies.members.names import folder
from sim2real.campaign.stage import Stage
from sim2real.campaign.store import read_record
from sim2real.commands import Member
from sim2real.stages.results import BUNDLE


def member(command: Member, stage: Stage) -> dict[str, Any]:
    """Copy the member's files; see `sim2real.commands.Member`."""
    parent = read_record(stage.input())["result"]
    known = parent.get("members")
    if not isinstance(known, dict):
        raise ValueError(f"{stage.input()} has no members; name a result of multitask")
    if command.member not in known:
        raise LookupError(f"no member {command.member!r} of {stage.input()}; there are {', '.join(known)}")
    for path in (stage.input() / folder(command.member)).iterdir():
        shutil.copyfile(path, stage.out / path.name)
    result = known[command.member]
    return result | {"privileged": parent["privileged"], "bundle": result["bundle"] and BUNDLE}
