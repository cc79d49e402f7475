"""Order, delay, regressors and coefficients of a closed loop from a few seconds of noisy commands and positions.

1. Both signals pass the same state-variable filter; each candidate (order, zeros, delay, kind of terms) is then a least
   squares fit of the filtered command, judged by its error on parts of the log it was not fitted to. Of those not
   clearly worse than the best the simplest is chosen.
2. Noise in the positions biases least squares. The chosen one is simulated under the commands; its noiseless positions,
   filtered alike, become the instruments of the next fit (simplified refined instrumental variables, Young and Jakeman
   1980), a few times over.
3. Standard errors come from the residuals summed over blocks longer than they remember (the filter colours them).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.dynamic_map.filters import bandwidth_of, derivatives, held, margin
from sim2real.dynamic_map.logs import Log
from sim2real.dynamic_map.loop import Loop
from sim2real.dynamic_map.terms import LADDER, Kind, Terms

Array = NDArray[np.float64]
STRUCTURES = ((1, False), (2, False), (2, True), (3, False), (3, True))
"""Orders, and whether there are zeros: relative degrees 1 to 3."""
LONGEST_DELAY = 0.15
"""[s]"""
DELAYS = 31
"""Tried, from 0 on."""
VISITED, REACH = 12, 1.3
"""Positions of the logs at which a loop must be stable, put that much farther from their mean."""
NEAR = 3.0
"""How much farther than in the log joints may go then."""
FASTEST = 20.0
"""Of poles, beyond which they are noise [bandwidth]."""
RIDGE = 1e-4
"""Of scaled regressors: keeps two that look alike in a log from growing against each other."""
FOLDS = 4
"""Parts of the log that are predicted from the others."""
SLACK = 1.1
"""A simpler candidate may err by that factor more than the best."""
WORTH = 0.005
"""Share of the command that a simpler candidate may err by more."""
WORST_CONDITION = 1e6
"""Of scaled regressors; beyond, the log does not tell them apart."""
TOLERABLE = 0.5
"""Error of a candidate on its part of the log, relative to the command, beyond which nothing has been identified."""
SLOW = 0.05
"""Speed over which friction turns around, of the root mean square."""
ROUNDS = 3
"""Of instrumental variables."""
BLOCKS = 12
"""Of residuals, to tell how certain they are."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A structure, and how it fares."""

    kind: Kind
    order: int
    zeros: bool
    delay: float
    """[s]"""
    error: float
    """Root mean square of what is left of the filtered command, relative to its own, on rows not fitted to."""
    parameters: int
    invertible: bool
    """Whether all zeros are stable."""
    misses: tuple[float, ...]
    """Its square by blocks in time."""


@dataclass(frozen=True, kw_only=True)
class Identified:
    """A loop, and how it was found."""

    loop: Loop
    candidates: tuple[Candidate, ...]
    """From the simplest on."""
    chosen: Candidate


def identify(
    logs: Sequence[Log], *, order: int | None = None, kinds: Sequence[Kind] = LADDER, at_least: int = 1
) -> Identified:
    """The closed loop behind one or more logs of the same robot.

    Args:
        logs: At the same rate; pieces of one run count as several.
        order: Of the loop; chosen by the data if left out.
        kinds: Of terms, to choose among.
        at_least: Least order to choose.

    Raises:
        ValueError: the logs do not tell; the message says why.
    """
    problem = _Problem(logs)
    tried = [
        _candidate(problem, kind, n, zeros)
        for kind, (n, zeros) in product(kinds, STRUCTURES)
        if n >= at_least and order in (None, n) and _is_sensible(kind, n, zeros, logs[0].num_joints)
    ]
    candidates = sorted((one for one in tried if one is not None), key=lambda one: one.parameters)
    left = candidates
    while True:
        chosen = _choose(left)
        loop = _refined(problem, chosen)
        if loop is not None:
            _check_zeros(loop)
            return Identified(loop=loop, candidates=tuple(candidates), chosen=chosen)
        left = [one for one in left if one is not chosen]


def identify_both(source: Sequence[Log], target: Sequence[Log]) -> tuple[Identified, Identified]:
    """The loops of two robots; the source's has the order of the target's or more, so that the map need not look ahead.

    Raises:
        ValueError: one of them cannot be identified; the message says which and why.
    """
    follower = _named("target", target)
    leader = _named("source", source)
    least = follower.chosen.order
    if leader.chosen.order < least:
        leader = _named("source", source, kinds=(leader.chosen.kind,), at_least=least)
    return leader, follower


def _named(name: str, logs: Sequence[Log], **options: Any) -> Identified:
    try:
        return identify(logs, **options)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _is_sensible(kind: Kind, order: int, zeros: bool, num_joints: int) -> bool:
    """Friction and gravity act on accelerations, and a single joint is coupled to none."""
    if kind == "coupled":
        return num_joints > 1
    return kind == "own" or (order == 2 and not zeros)


class _Problem:
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
class _Regression:
    """r_j = Φ_j θ_j of every joint, over the rows of all logs."""

    targets: Array
    """(rows, num_joints)"""
    scale: Array
    """(num_joints,) variance of the commands, behind the filter."""
    columns: list[Array]
    """Of each joint, (rows, its parameters); the last is −ṙ where there are zeros."""
    folds: list[NDArray[np.intp]]
    """Rows that lie together in time, to be judged by a fit to the others."""


def _regression(problem: _Problem, terms: Terms, zeros: bool, delay: float, phi: Array) -> _Regression:
    """Of the regressors `phi`; those of the log itself but for instruments."""
    target, rate = problem.commands(delay)
    columns = [phi[:, allowed] for allowed in terms.allowed.T]
    if zeros:
        columns = [np.column_stack([one, -rate[:, joint]]) for joint, one in enumerate(columns)]
    targets = target - phi @ terms.known
    return _Regression(targets, target.var(axis=0), columns, np.array_split(np.arange(len(target)), FOLDS))


def _candidate(problem: _Problem, kind: Kind, order: int, zeros: bool) -> Candidate | None:
    """The structure at its best delay; None if the logs do not tell its regressors apart, or its loop is unstable."""
    terms = problem.terms(kind, order)
    phi = problem.regressors(terms, problem.y)
    if any(_condition(phi[:, allowed]) > WORST_CONDITION for allowed in terms.allowed.T):
        return None
    found = _fitted(problem, terms, zeros, phi)
    if found is None:
        return None
    loop, regression = found
    misses = _misses(regression)
    return Candidate(
        kind=kind,
        order=order,
        zeros=zeros,
        delay=loop.delay,
        error=float(np.sqrt(misses.mean())),
        parameters=sum(columns.shape[1] for columns in regression.columns),
        invertible=min(loop.zeros, default=1.0) > 0.0,
        misses=tuple(misses.tolist()),
    )


def _fitted(problem: _Problem, terms: Terms, zeros: bool, phi: Array) -> tuple[Loop, _Regression] | None:
    """By least squares at the best delay with which the loop is stable; None if there is none."""
    delays = np.linspace(0.0, LONGEST_DELAY, DELAYS)
    left = np.array([_left(_regression(problem, terms, zeros, float(delay), phi)) for delay in delays])
    for delay in (_between(delays, left), *delays[np.argsort(left)]):
        regression = _regression(problem, terms, zeros, float(delay), phi)
        loop = _loop(terms, zeros, float(delay), regression, regression)
        if problem.is_plausible(loop):
            return loop, regression
    return None


def _between(delays: Array, left: Array) -> float:
    """Where the parabola through the least and its neighbours is least [s]."""
    least = int(np.argmin(left))
    if not 0 < least < len(delays) - 1:
        return float(delays[least])
    before, at, after = left[least - 1 : least + 2]
    return float(delays[least] + (delays[1] - delays[0]) * 0.5 * (before - after) / (before - 2.0 * at + after))


def _left(regression: _Regression) -> float:
    """Mean square of what a fit leaves of the command, relative to its own."""
    targets = regression.targets
    left = [targets[:, j] - c @ _least_squares(c, targets[:, j]) for j, c in enumerate(regression.columns)]
    return float(np.mean([np.mean(one**2) / regression.scale[j] for j, one in enumerate(left)]))


def _misses(regression: _Regression) -> Array:
    """(num_blocks,) the same of rows that were not fitted to, by blocks in time."""
    targets, missed = regression.targets, np.empty_like(regression.targets)
    for fold in regression.folds:
        others = np.setdiff1d(np.arange(len(targets)), fold)
        for joint, columns in enumerate(regression.columns):
            theta = _least_squares(columns[others], targets[others, joint])
            missed[fold, joint] = targets[fold, joint] - columns[fold] @ theta
    relative = (missed**2 / regression.scale).mean(axis=1)
    return np.array([block.mean() for block in np.array_split(relative, BLOCKS)])


def _least_squares(columns: Array, target: Array) -> Array:
    return _solve(columns, columns, target)[0]


def _condition(columns: Array) -> float:
    norms = np.linalg.norm(columns, axis=0)
    return float(np.linalg.cond(columns / norms)) if norms.min() > 0.0 else np.inf


def _choose(candidates: Sequence[Candidate]) -> Candidate:
    """The simplest that is not clearly worse than the best; of those alike, one with a stable inverse."""
    if not candidates:
        raise ValueError(
            "no excitation: the log does not tell how commands and positions hang together at any order; command "
            "several frequencies at once, every joint in its own way"
        )
    best = min(candidates, key=lambda one: one.error)
    if best.error > TOLERABLE:
        raise ValueError(
            f"nothing identified: the best candidate (order {best.order}, {best.kind}) leaves {best.error:.0%} of the "
            f"command unexplained; excite more, so that joints do not stick, and check that command and position "
            f"belong together"
        )
    near = [one for one in candidates if _is_as_good(one, best)]
    return next((one for one in near if one.invertible), near[0])


def _is_as_good(one: Candidate, best: Candidate) -> bool:
    """Within `SLACK` or `WORTH`, or worse by less than a standard error of the difference, block by block."""
    worse = np.array(one.misses) - np.array(best.misses)
    enough = max(SLACK * best.error, best.error + WORTH)
    return one.error <= enough or worse.mean() <= worse.std(ddof=1) / np.sqrt(len(worse))


def _refined(problem: _Problem, chosen: Candidate) -> Loop | None:
    """Coefficients by least squares, then by instruments; None if what they make does not move as the logs do."""
    terms = problem.terms(chosen.kind, chosen.order)
    phi = problem.regressors(terms, problem.y)
    data = _regression(problem, terms, chosen.zeros, chosen.delay, phi)
    loop = _loop(terms, chosen.zeros, chosen.delay, data, data)
    for _ in range(ROUNDS):
        simulated = _simulated(problem, loop)
        if simulated is None:
            return None
        phi = problem.regressors(terms, simulated)
        instruments = _regression(problem, terms, chosen.zeros, chosen.delay, phi)
        better = _loop(terms, chosen.zeros, chosen.delay, data, instruments)
        if not problem.is_plausible(better):
            break
        loop = better
    return loop if _stays(problem, loop) else None


def _stays(problem: _Problem, loop: Loop) -> bool:
    """Whether positions stay near under commands that go `REACH` times as far; a linear loop that is stable does."""
    if loop.terms.is_linear:
        return True
    middle = problem.places[0]
    for log in problem.logs:
        farther = log.command.mean(axis=0) + REACH * (log.command - log.command.mean(axis=0))
        try:
            positions = loop.simulate(farther, log.dt, loop.rest_state(log.position[0]))[0]
        except (ArithmeticError, np.linalg.LinAlgError):
            return False
        if np.abs(positions - middle).max() > NEAR * np.abs(log.position - middle).max():
            return False
    return True


def _simulated(problem: _Problem, loop: Loop) -> list[list[Array]] | None:
    """Filtered derivatives of the loop's own positions under the commands; None where they do not resemble the log."""
    outcome = []
    for log, y in zip(problem.logs, problem.y, strict=True):
        start = np.stack([one[0] for one in y[: loop.terms.order]])
        try:
            positions = loop.simulate(log.command, log.dt, start)[0]
        except (ArithmeticError, np.linalg.LinAlgError):
            return None
        if np.any((positions - log.position).std(axis=0) > TOLERABLE * log.position.std(axis=0)):
            return None
        outcome.append(derivatives(positions, problem.dt, problem.bandwidth, 3))
    return outcome


def _loop(terms: Terms, with_zeros: bool, delay: float, data: _Regression, instruments: _Regression) -> Loop:
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


def _check_zeros(loop: Loop) -> None:
    unstable = [joint for joint, zero in enumerate(loop.zeros) if zero <= 0.0]
    if unstable:
        joint = unstable[0]
        raise ValueError(
            f"unstable inverse: joint {joint} (counted from 0) first moves the wrong way (zero at "
            f"+{-1.0 / min(loop.zeros[joint], -1e-9):.1f}/s), so no bounded command makes it follow exactly; mend its "
            f"servo, or map other joints"
        )
