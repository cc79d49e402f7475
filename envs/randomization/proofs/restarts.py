"""Proof that restarts draw and write every parameter anew, in the worlds that restart and in no others.

Worlds restart several times over with the whole randomization; each time every field of every world must be what its
logged sample says, worked out from the compiled model: nothing compounds, nothing leaks into other worlds.
"""

import numpy as np
import torch

from envs.randomization.proofs.differences import Difference, differences
from envs.randomization.proofs.finding import Finding, Problem, short
from envs.randomization.proofs.model import by_name, found_and_expected
from envs.randomization.proofs.provable import Provable
from envs.randomization.terms import MODEL_TERMS

TIMES = 3


def prove_restarts(worlds: Provable) -> Finding:
    """The proof of all parameters together."""
    randomizer, everyone = worlds.randomizer, torch.arange(worlds.num_envs, device=worlds.device)
    problems: list[Problem] = []
    for time in range(TIMES):
        worlds._restart(everyone)
        problems += _wrong(worlds, f"restart {time + 1} of all worlds")
    others, values = everyone[1:], randomizer.values.clone()
    worlds._restart(everyone[:1])
    problems += _wrong(worlds, "a restart of world 0 alone")
    if not torch.equal(values[others], randomizer.values[others]):
        problems.append(_leak(values[others], randomizer.values[others]))
    problems += _undrawn(worlds)
    return Finding(
        term="restarts",
        kind="model",
        claims="all parameters together, drawn anew",
        found=f"{TIMES} restarts of {worlds.num_envs} worlds and one of a single world, every field as drawn",
        effect=f"{len(randomizer.column_names)} values a world",
        status="FAILED" if problems else "proved",
        problems=tuple(problems[:1]),
    )


def _wrong(worlds: Provable, when: str) -> list[Problem]:
    """The first field that is not as the values of its world say."""
    for world in range(worlds.num_envs):
        for difference in differences(*found_and_expected(worlds, world, worlds.randomizer.values[world])):
            return [_problem(worlds, world, difference, when)]
    return []


def _problem(worlds: Provable, world: int, difference: Difference, when: str) -> Problem:
    owners = [item.name for item in MODEL_TERMS if difference.field in item.fields + item.constants]
    present = [name for name in owners if name in worlds.randomizer.columns]
    drawn = {name: value for name, value in by_name(worlds, worlds.randomizer.values[world]).items() if name in present}
    return Problem(
        term=", ".join(present) or "an unknown term",
        fault=f"not as drawn after {when}",
        field=f"{difference.field} of world {world}",
        expected=short(difference.expected[difference.wrong]),
        found=short(difference.found[difference.wrong]),
        remedy="write from the compiled values, then set_const; drawn were "
        + ", ".join(f"{name} {short(value)}" for name, value in drawn.items()),
    )


def _leak(before: torch.Tensor, after: torch.Tensor) -> Problem:
    return Problem(
        term="restarts",
        fault="drew values for worlds that did not restart",
        field="values",
        expected=short(before[before != after]),
        found=short(after[before != after]),
        remedy="draw for the worlds that restart alone",
    )


def _undrawn(worlds: Provable) -> list[Problem]:
    """Parameters with a range that are the same in all worlds, or outside it."""
    randomizer, problems = worlds.randomizer, []
    for name, part in randomizer.columns.items():
        low, high = getattr(randomizer.randomization, name)
        values = randomizer.values[:, part].double().cpu().numpy()
        outside = (values < low - 1e-9).any() or (values > high + 1e-9).any()
        alike = low < high and bool((np.ptp(values, axis=0) == 0.0).any())
        if outside or alike:
            problems.append(
                Problem(
                    term=name,
                    fault="drawn outside its range" if outside else "one value for all worlds",
                    field="values",
                    expected=f"different values within {low:g}..{high:g}",
                    found=short(values),
                    remedy="draw low + (high - low) · u for each world",
                )
            )
    return problems
