"""How samples become model fields, compiled once: every claimed entry of every field side by side in one sheet.

An entry is `compiled value · factors + shifts`. Which columns of a sample are its factors and shifts is looked up by
index, so that a restart costs a few operations on one tensor and one write for each field, however many parameters.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from envs.physics.interface import Physics
from envs.randomization.anatomy import Anatomy, compiled
from envs.randomization.bodies import Bodies, Entry
from envs.randomization.parameter import Claim, Parameter


class WritePlan:
    """Writes the samples of some parameters.

    Args:
        parameters: Those that write, in the order in which they act.
        columns: Name of a parameter -> its columns of a sample.
        physics: Whose model fields are written.
        anatomy: Where things are.
        bodies: Whose values are the compiled ones, if worlds have different bodies.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        columns: Mapping[str, slice],
        physics: Physics,
        anatomy: Anatomy,
        bodies: Bodies | None = None,
    ) -> None:
        self.parameters, self.columns, self.anatomy, self.bodies = parameters, columns, anatomy, bodies
        claimed = {entry for item in parameters for claim in item.claims for entry in _entries(claim, anatomy)}
        self.entries = sorted(claimed | set(bodies.values if bodies else ()))
        self.place = {entry: index for index, entry in enumerate(self.entries)}
        device = physics.device
        self._width = max((part.stop for part in columns.values()), default=0)
        self._look_up(device)
        self._fields = []
        for field in dict.fromkeys(entry[0] for entry in self.entries):
            places = [index for index, entry in enumerate(self.entries) if entry[0] == field]
            live = physics.model_field(field)
            live = live.view(physics.num_worlds, -1)
            num_columns = compiled(physics.model, field).shape[1]
            flat = torch.tensor(
                [self.entries[at][1] * num_columns + self.entries[at][2] for at in places], device=device
            )
            self._fields.append((live, flat, slice(places[0], places[-1] + 1)))

    def _look_up(self, device: torch.device) -> None:
        """Compiled values, and for each entry the columns of (sample, reciprocals, 1, 0) that change it."""
        one, zero = 2 * self._width, 2 * self._width + 1
        nominal = np.array([[compiled(self.anatomy.model, field)[row, column] for field, row, column in self.entries]])
        if self.bodies:
            nominal = np.repeat(nominal, len(self.bodies.factors), 0)
            for entry, values in self.bodies.values.items():
                nominal[:, self.place[entry]] = values
        factors: list[list[int]] = [[] for _ in self.entries]
        shifts: list[list[int]] = [[] for _ in self.entries]
        units = np.ones(len(self.entries))
        for item in self.parameters:
            part = self.columns[item.name]
            for claim in item.claims if item.write is None else ():
                for index, entry in enumerate(_entries(claim, self.anatomy)):
                    at, row = self.place[entry], index // len(claim.columns)
                    column = part.start + (row if part.stop - part.start > 1 else 0)
                    if claim.operation == "set":
                        nominal[:, at], factors[at] = self.anatomy.units[item.unit], [column]
                    elif claim.operation == "add":
                        units[at] = self.anatomy.units[item.unit]
                        shifts[at].append(column)
                    else:
                        factors[at].append(column + self._width * (claim.operation == "divide"))
        self._nominal = torch.from_numpy(nominal).to(device, torch.float64)
        self._units = torch.from_numpy(units).to(device)
        self._factors = [torch.tensor(picked, device=device) for picked in _layers(factors, one)]
        self._shifts = [torch.tensor(picked, device=device) for picked in _layers(shifts, zero)]

    def write(self, worlds: torch.Tensor, values: torch.Tensor) -> None:
        """Put samples, (n, num_columns), into the model fields of `worlds`, (n,)."""
        if not self.entries:
            return
        ends = values.new_tensor([[1.0, 0.0]]).expand(len(values), 2)
        looked_up = torch.cat([values, values.reciprocal(), ends], -1)
        if self.bodies:
            sheet = self._nominal[self.bodies.index(values[:, self.columns["link_length"].start])]
        else:
            sheet = self._nominal.repeat(len(values), 1)
        for picked in self._factors:
            sheet *= looked_up[:, picked]
        for picked in self._shifts:
            sheet += looked_up[:, picked] * self._units
        for item in self.parameters:
            if item.write is not None:
                item.write(item, Sheet(self, sheet), values[:, self.columns[item.name]], self.anatomy)
        rows = worlds[:, None]
        if worlds.device.type == "cpu":  # NumPy writes by index four times faster than torch
            for live, flat, part in self._fields:
                live.numpy()[rows.numpy(), flat.numpy()] = sheet[:, part].numpy()
        else:
            for live, flat, part in self._fields:
                live[rows, flat] = sheet[:, part].to(live.dtype)


class Sheet:
    """Values of the worlds at hand, for parameters that change entries in a way of their own."""

    def __init__(self, plan: WritePlan, values: torch.Tensor) -> None:
        self._plan, self.values = plan, values

    def row(self, field: str, row: int) -> torch.Tensor:
        """(n, number of columns) of a row that the parameter claims whole; a view: assign to its elements."""
        first = self._plan.place[field, row, 0]
        last = first
        while self._plan.place.get((field, row, last - first + 1)) == last + 1:
            last += 1
        return self.values[:, first : last + 1]


def each_row_times(values: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """(n, k) @ (k, m), every row to the bit what it is alone: BLAS rounds otherwise for another number of rows.

    A restart writes the worlds that ended, a restored run writes all of them, and both must write the same.
    """
    return (values[:, :, None] * matrix).sum(1)


def _entries(claim: Claim, anatomy: Anatomy) -> list[Entry]:
    rows = anatomy.rows[claim.rows].tolist()
    return [(claim.field, row, column) for row in rows for column in claim.columns]


def _layers(columns: list[list[int]], neutral: int) -> list[list[int]]:
    """The first column of every entry, the second, and so on; `neutral` where an entry has no more."""
    depth = max((len(own) for own in columns), default=0)
    return [[own[level] if level < len(own) else neutral for own in columns] for level in range(depth)]
