"""Where two compiled models differ, and which mistake that looks like."""

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.randomization.parameter import Parameter
from envs.randomization.proofs.expected import all_fields, field_of
from envs.randomization.proofs.finding import Problem, short

RTOL, ATOL = 1e-9, 1e-12
OBJECTS = {"body": "body", "geom": "geom", "dof": "dof", "actuator": "actuator"}
"""Beginning of a field's name -> what its rows are."""


@dataclass(frozen=True)
class Difference:
    """One field in which a model is not as expected."""

    field: str
    expected: NDArray
    found: NDArray

    @property
    def off(self) -> NDArray:
        """Shaped as the field, True where an entry is not as expected."""
        return ~np.isclose(self.found, self.expected, rtol=RTOL, atol=ATOL)

    @property
    def wrong(self) -> NDArray:
        """(num_rows,) True where a row is not as expected."""
        return np.asarray(self.off.reshape(len(self.off), -1).any(-1))


def differences(found: mujoco.MjModel, expected: mujoco.MjModel) -> list[Difference]:
    """Every physical field in which `found` is not `expected`."""
    pairs = [(name, field_of(expected, name), field_of(found, name)) for name in all_fields(expected)]
    return [
        Difference(name, np.atleast_1d(right).copy(), np.atleast_1d(got).copy())
        for name, right, got in pairs
        if not np.array_equal(got, right) and not np.allclose(got, right, rtol=RTOL, atol=ATOL)  # the first is quick
    ]


def explain(
    parameter: Parameter, nominal: mujoco.MjModel, worlds: Sequence[Sequence[Difference]], compounds: bool = False
) -> list[Problem]:
    """Problems behind the differences of each world; the first world is nominal.

    Args:
        parameter: Which was applied.
        nominal: The compiled model.
        worlds: What is not as expected, world by world.
        compounds: Whether these are differences from what the same sample gave before.
    """
    wrong = [index for index, found in enumerate(worlds) if found]
    problems: dict[str, Problem] = {}
    for index in wrong:
        fields = [difference.field for difference in worlds[index]]
        for difference in worlds[index]:
            fault, remedy = _diagnose(parameter, nominal, difference, fields)
            if compounds:
                fault, remedy = "compounds over resets", "start from the compiled value, never from the last sample"
            elif 0 < len(wrong) < len(worlds) - 1 and "was not written" in fault:
                fault = f"acts in some worlds only: not in {wrong} of {len(worlds)}"
                remedy = "index the field by all worlds that restart"
            problems.setdefault(difference.field, _problem(parameter, nominal, difference, fault, remedy))
    named = [problems[field] for field in parameter.fields if field in problems]
    return named or list(problems.values())  # wrong constants follow from wrong fields


def _problem(parameter: Parameter, nominal: mujoco.MjModel, difference: Difference, fault: str, remedy: str) -> Problem:
    rows = np.flatnonzero(difference.wrong)
    where = ", ".join(_row_name(nominal, difference.field, int(row)) for row in rows[:4])
    return Problem(
        term=parameter.name,
        fault=fault,
        field=f"{difference.field}[{where}{', …' if len(rows) > 4 else ''}]",
        expected=short(difference.expected[difference.off]),
        found=short(difference.found[difference.off]),
        remedy=remedy,
    )


def _diagnose(
    parameter: Parameter, nominal: mujoco.MjModel, difference: Difference, fields: list[str]
) -> tuple[str, str]:
    """The mistake that a wrong field looks like, and what to do."""
    compiled = np.atleast_1d(field_of(nominal, difference.field))
    rows = difference.wrong
    found, expected = difference.found[rows], difference.expected[rows]
    if difference.field in parameter.constants:
        stale = "stale" if np.allclose(difference.found[rows], compiled[rows]) else "wrong"
        return f"{stale} derived constant", "call set_const in the worlds whose fields were written"
    if not parameter.claims:
        return "is not the body of that length", "write every field in which the bodies differ, then set_const"
    if difference.field not in parameter.fields:
        return "changed a field that it does not claim", "claim the field, or do not write it"
    meant = ~np.isclose(difference.expected, compiled).reshape(len(compiled), -1).all(-1)
    if (~meant & rows).any() and (meant & rows).any():
        return "wrong body: other rows were written", "look rows up by the names in the robot's specification"
    right = difference.found[meant & ~rows]
    if len(right) and np.allclose(found, right[0]):
        return "one value shared by all rows", "give each row its own column of the sample"
    if np.allclose(found, compiled[rows]):
        if difference.field == "body_inertia" and "body_mass" not in fields:
            return "mass without inertia", "scale body_inertia with body_mass"
        return "was not written", "write the rows it claims"
    if np.all(difference.found[difference.off] == 0.0):
        return "scaled to zero", "check what the factor multiplies: the compiled value is not 0"
    return "wrong value (another unit?)", _ratio(found - compiled[rows], expected - compiled[rows], parameter)


def _ratio(found: NDArray, expected: NDArray, parameter: Parameter) -> str:
    usable = np.abs(expected) > ATOL
    ratio = float(np.median(found[usable] / expected[usable])) if usable.any() else float("nan")
    return f"the change is {ratio:.4g} times the expected one; values are in units of {parameter.unit!r}"


def _row_name(model: mujoco.MjModel, field: str, row: int) -> str:
    kind = field.split("_")[0]
    if kind == "dof":
        return model.joint(int(model.dof_jntid[row])).name or str(row)
    return (getattr(model, OBJECTS[kind])(row).name or str(row)) if kind in OBJECTS else str(row)
