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

import numpy as np
from numpy.typing import NDArray

from sim2real.dynamic_map.filters import derivatives
from sim2real.dynamic_map.logs import Log
from sim2real.dynamic_map.loop import Loop
from sim2real.dynamic_map.regression import BLOCKS, REACH, Problem, Regression, least_squares, regressed, solved_loop
from sim2real.dynamic_map.terms import LADDER, Kind, Terms

Array = NDArray[np.float64]
STRUCTURES = ((1, False), (2, False), (2, True), (3, False), (3, True))
"""Orders, and whether there are zeros: relative degrees 1 to 3."""
LONGEST_DELAY = 0.15
"""[s]"""
DELAYS = 31
"""Tried, from 0 on."""
NEAR = 3.0
"""How much farther than in the log joints may go under commands `REACH` times as far."""
SLACK = 1.1
"""A simpler candidate may err by that factor more than the best."""
WORTH = 0.005
"""Share of the command that a simpler candidate may err by more."""
WORST_CONDITION = 1e6
"""Of scaled regressors; beyond, the log does not tell them apart."""
TOLERABLE = 0.5
"""Error of a candidate on its part of the log, relative to the command, beyond which nothing has been identified."""
ROUNDS = 3
"""Of instrumental variables."""


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
    problem = Problem(logs)
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
        try:
            leader = identify(source, at_least=least)
        except ValueError as error:
            raise ValueError(
                f"source: must have the target's order {least} or more, its log shows {leader.chosen.order} alone; "
                f"log it faster, excite it more, or map its recorded positions"
            ) from error
    return leader, follower


def _named(name: str, logs: Sequence[Log]) -> Identified:
    try:
        return identify(logs)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _is_sensible(kind: Kind, order: int, zeros: bool, num_joints: int) -> bool:
    """Friction and gravity act on accelerations, and a single joint is coupled to none."""
    if kind == "coupled":
        return num_joints > 1
    return kind == "own" or (order == 2 and not zeros)


def _candidate(problem: Problem, kind: Kind, order: int, zeros: bool) -> Candidate | None:
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


def _fitted(problem: Problem, terms: Terms, zeros: bool, phi: Array) -> tuple[Loop, Regression] | None:
    """By least squares at the best delay with which the loop is stable; None if there is none."""
    delays = np.linspace(0.0, LONGEST_DELAY, DELAYS)
    left = np.array([_left(regressed(problem, terms, zeros, float(delay), phi)) for delay in delays])
    for delay in (_between(delays, left), *delays[np.argsort(left)]):
        regression = regressed(problem, terms, zeros, float(delay), phi)
        loop = solved_loop(terms, zeros, float(delay), regression, regression)
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


def _left(regression: Regression) -> float:
    """Mean square of what a fit leaves of the command, relative to its own."""
    targets = regression.targets
    left = [targets[:, j] - c @ least_squares(c, targets[:, j]) for j, c in enumerate(regression.columns)]
    return float(np.mean([np.mean(one**2) / regression.scale[j] for j, one in enumerate(left)]))


def _misses(regression: Regression) -> Array:
    """(num_blocks,) the same of rows that were not fitted to, by blocks in time."""
    targets, missed = regression.targets, np.empty_like(regression.targets)
    for fold in regression.folds:
        others = np.setdiff1d(np.arange(len(targets)), fold)
        for joint, columns in enumerate(regression.columns):
            theta = least_squares(columns[others], targets[others, joint])
            missed[fold, joint] = targets[fold, joint] - columns[fold] @ theta
    relative = (missed**2 / regression.scale).mean(axis=1)
    return np.array([block.mean() for block in np.array_split(relative, BLOCKS)])


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


def _refined(problem: Problem, chosen: Candidate) -> Loop | None:
    """Coefficients by least squares, then by instruments; None if what they make does not move as the logs do."""
    terms = problem.terms(chosen.kind, chosen.order)
    phi = problem.regressors(terms, problem.y)
    data = regressed(problem, terms, chosen.zeros, chosen.delay, phi)
    loop = solved_loop(terms, chosen.zeros, chosen.delay, data, data)
    for _ in range(ROUNDS):
        simulated = _simulated(problem, loop)
        if simulated is None:
            return None
        phi = problem.regressors(terms, simulated)
        instruments = regressed(problem, terms, chosen.zeros, chosen.delay, phi)
        better = solved_loop(terms, chosen.zeros, chosen.delay, data, instruments)
        if not problem.is_plausible(better):
            break
        loop = better
    return loop if _stays(problem, loop) else None


def _stays(problem: Problem, loop: Loop) -> bool:
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


def _simulated(problem: Problem, loop: Loop) -> list[list[Array]] | None:
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


def _check_zeros(loop: Loop) -> None:
    unstable = [joint for joint, zero in enumerate(loop.zeros) if zero <= 0.0]
    if unstable:
        joint = unstable[0]
        raise ValueError(
            f"unstable inverse: joint {joint} (counted from 0) first moves the wrong way (zero at "
            f"+{-1.0 / min(loop.zeros[joint], -1e-9):.1f}/s), so no bounded command makes it follow exactly; mend its "
            f"servo, or map other joints"
        )
