"""What a proof says about a term: what it claims, what was found, how much it matters, and what is wrong."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One way in which a term does not do what it says."""

    term: str
    fault: str
    """In a few words."""
    field: str
    """Model field, state or observation channel."""
    expected: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.term}: {self.fault}: {self.field} expected {self.expected}, found {self.found}; {self.remedy}"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One row of the table."""

    term: str
    kind: str
    """"model", "sensing" or "disturbance"."""
    claims: str
    """What it says that it changes."""
    found: str
    effect: str
    """How much it changes what happens."""
    status: str
    """"proved", "off", "absent" or "FAILED"."""
    problems: tuple[Problem, ...] = field(default=())


def short(values: Any, most: int = 6) -> str:
    """Numbers in four digits, long lists cut."""
    flat = np.asarray(values, dtype=float).ravel()
    shown = ", ".join(f"{value:.4g}" for value in flat[:most])
    return f"[{shown}{', …' if len(flat) > most else ''}]" if len(flat) != 1 else shown
