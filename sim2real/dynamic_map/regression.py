"""Filtered logs as a regression, and the loop that its solution is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim2real.dynamic_map.filters import bandwidth_of, derivatives, held, margin
from sim2real.dynamic_map.logs import Log
from sim2real.dynamic_map.loop import Loop
from sim2real.dynamic_map.terms import Kind, Terms

Array = NDArray[np.float64]
SLOW = 0.05
"""Speed over which friction turns around, of the root mean square."""
VISITED, REACH = 12, 1.3
"""Positions of the logs at which a loop must be stable, put that much farther from their mean."""
FASTEST = 20.0
"""Of poles, beyond which they are noise [bandwidth]."""
RIDGE = 1e-4
"""Of scaled regressors: keeps two that look alike in a log from growing against each other."""
FOLDS = 4
"""Parts of the log that are predicted from the others."""
BLOCKS = 12
"""Of residuals, to tell how certain they are."""


class Problem:
    """Filtered signals of all logs, ends left out."""

    def __init__(self, logs: Sequence[Log]) -> None:
        self.logs, self.dt = logs, logs[0].dt
        if any(abs(log.dt - self.dt) > 1e-3 * self.dt or log.num_joints != logs[0].num_joints for log in logs):
            raise ValueError("logs of one robot must have the same joints and the same time between samples")
        self.bandwidth = max(bandwidth_of(log.position, log.dt) for log in logs)
        self.ends = margin(self.dt, self.bandwidth)
        if min(len(log.command) for log in logs) < 4 * self.ends:
            raise ValueError(
                f"too short for motion this slow: the filter spends {2 * self.ends * self.dt:.1f} s of each log; "
                f"record {4 * self.ends * self.dt:.1f} s, or excite faster"
            )
        self.y = [derivatives(log.position, self.dt, self.bandwidth, 3) for log in logs]
        self.speeds = tuple(
            float(SLOW * v) for v in np.sqrt(np.mean(np.concatenate([y[1] for y in self.y]) ** 2, axis=0))
        )

        self._commands: dict[float, list[Array]] = {}
        positions = np.concatenate([log.position for log in logs])
        middle = positions.mean(axis=0)
        extremes = [*positions.argmin(axis=0), *positions.argmax(axis=0)]
        rows = [*extremes, *np.linspace(0, len(positions) - 1, VISITED, dtype=int)]
        self.places = np.concatenate([middle[None], middle + REACH * (positions[rows] - middle)])

    def terms(self, kind: Kind, order: int) -> Terms:
        return Terms(kind=kind, num_joints=self.logs[0].num_joints, order=order, speeds=self.speeds)

    def commands(self, delay: float) -> list[Array]:
        """The filtered command and its derivative, arriving that late."""
        if delay not in self._commands:
            filtered = [held(log.command, self.dt, self.bandwidth, 1, delay) for log in self.logs]
            self._commands[delay] = [self.cut(each) for each in zip(*filtered, strict=True)]
        return self._commands[delay]

    def regressors(self, terms: Terms, y: list[list[Array]]) -> Array:
        """(rows, num_regressors) of filtered derivatives."""
        return self.cut([terms.regressors(one) for one in y])

    def is_plausible(self, loop: Loop) -> bool:
        """Whether the loop comes to rest where the logs were and somewhat beyond, no faster than the filter shows."""
        places = self.places[: 1 if loop.terms.is_linear else None]
        return all(self._comes_to_rest(loop, place) for place in places)

    def _comes_to_rest(self, loop: Loop, place: Array) -> bool:
        try:
            poles = loop.poles(place)
        except np.linalg.LinAlgError:
            return False
        return bool(poles.real.max() < 0.0 and np.abs(poles).max() < FASTEST * self.bandwidth)

    def cut(self, arrays: Sequence[Array]) -> Array:
        """The rows of all logs without their ends."""
        return np.concatenate([array[self.ends : len(array) - self.ends] for array in arrays])


@dataclass
class Regression:
    """r_j = Φ_j θ_j of every joint, over the rows of all logs."""

    targets: Array
    """(rows, num_joints)"""
    scale: Array
    """(num_joints,) variance of the commands, behind the filter."""
    columns: list[Array]
    """Of each joint, (rows, its parameters); the last is −ṙ where there are zeros."""
    folds: list[NDArray[np.intp]]
    """Rows that lie together in time, to be judged by a fit to the others."""


def regressed(problem: Problem, terms: Terms, zeros: bool, delay: float, phi: Array) -> Regression:
    """Of the regressors `phi`; those of the log itself but for instruments."""
    target, rate = problem.commands(delay)
    columns = [phi[:, allowed] for allowed in terms.allowed.T]
    if zeros:
        columns = [np.column_stack([one, -rate[:, joint]]) for joint, one in enumerate(columns)]
    targets = target - phi @ terms.known
    return Regression(targets, target.var(axis=0), columns, np.array_split(np.arange(len(target)), FOLDS))


def solved_loop(terms: Terms, with_zeros: bool, delay: float, data: Regression, instruments: Regression) -> Loop:
    """The loop whose errors none of the instruments explains; those of least squares are the data themselves."""
    allowed = terms.allowed
    theta, errors = terms.known.copy(), np.zeros(allowed.shape)
    zeros: list[tuple[float, float]] = []
    for joint, (columns, instrument) in enumerate(zip(data.columns, instruments.columns, strict=True)):
        found, error = _solve(columns, instrument, data.targets[:, joint])
        if with_zeros:
            zeros.append((float(found[-1]), float(error[-1])))
            found, error = found[:-1], error[:-1]
        theta[allowed[:, joint], joint], errors[allowed[:, joint], joint] = found, error
    return Loop(
        terms=terms,
        coefficients=_rows(theta),
        errors=_rows(errors),
        delay=delay,
        zeros=tuple(value for value, _ in zeros),
        zero_errors=tuple(error for _, error in zeros),
    )


def _rows(numbers: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(number) for number in row) for row in numbers)


def _solve(columns: Array, instruments: Array, target: Array) -> tuple[Array, Array]:
    """θ of ZᵀΦθ = Zᵀr and its standard errors, from residuals summed over blocks."""
    scale = np.linalg.norm(columns, axis=0)
    z, phi = instruments / scale, columns / scale
    normal = z.T @ phi + RIDGE * np.eye(len(scale))
    theta = np.linalg.solve(normal, z.T @ target)
    left = z * (target - phi @ theta)[:, None]
    moments = np.stack([block.sum(axis=0) for block in np.array_split(left, BLOCKS)])
    inverse = np.linalg.inv(normal)
    covariance = inverse @ (moments.T @ moments) @ inverse.T
    return theta / scale, np.sqrt(np.diag(covariance)) / scale


def least_squares(columns: Array, target: Array) -> Array:
    return _solve(columns, columns, target)[0]
