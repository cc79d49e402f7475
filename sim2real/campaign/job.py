"""What travels from the driver to the process that runs a stage, and what comes back."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sim2real.campaign.resources import Resources
from sim2real.commands import Kind


@dataclass(frozen=True, kw_only=True)
class Job:
    """A stage whose key and inputs are known."""

    name: str
    """In the recipe."""
    kind: Kind
    command: Any
    key: str
    input_keys: dict[str, str | tuple[str, ...]] = field(default_factory=dict)
    """Name of a RUN argument -> key of its result, or keys."""
    input_folders: dict[str, Path | tuple[Path, ...]] = field(default_factory=dict)
    after: frozenset[str] = frozenset()
    """Names of the stages it waits for."""
    resources: Resources = field(default_factory=Resources)
    """Of all its workers together."""
    retries: int = 2
    """Further attempts when its process dies."""
    timeout_s: float | None = None
    """Longest time for the stage [s]."""


def is_bad_input(error: BaseException) -> bool:
    """Whether an error says that what was given is wrong."""
    is_bug = isinstance(error, (KeyError, IndexError))
    return isinstance(error, (ValueError, LookupError, FileNotFoundError)) and not is_bug


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an attempt at a stage ended."""

    status: Literal["done", "cached", "failed", "stopped"]
    record: dict[str, Any] | None = None
    """`run.json` of the result, if there is one."""
    error: str = ""
    """One sentence."""
    details: str = ""
    """The traceback."""
    bad_input: bool = False
    """Whether it failed for what it was given, not for what happened."""
