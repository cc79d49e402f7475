"""A closed loop from commands to positions: simulated forward, and inverted.

Orders and delays are those of `identify`. Without zeros the inverse has no poles: it only differentiates the wanted
positions, as often as the relative degree says. With zeros it is a first-order filter as well, stable if they are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim2real.dynamic_map.filters import bandwidth_of, derivatives
from sim2real.dynamic_map.terms import Terms

Array = NDArray[np.float64]
STEP = 0.01
"""Longest step of the integration [s]."""
REACH = 2.0
"""Of a step over the time constant of the fastest pole; Runge–Kutta's bound is 2.78."""
NUDGE = 1e-4
"""Of positions and their derivatives, to see which way a loop returns."""
FAR = 1e3
"""A position that far away is a simulation that came apart [rad]."""


@dataclass(frozen=True, kw_only=True)
class Loop:
    """Commands to positions of one robot."""

    terms: Terms
    coefficients: tuple[tuple[float, ...], ...]
    """θ, (num_regressors, num_joints), in the order of `terms.names`."""
    errors: tuple[tuple[float, ...], ...]
    """Standard errors of θ."""
    delay: float
    """Of commands [s]."""
    zeros: tuple[float, ...] = ()
    """b, time constant of each joint's zero [s]; none if empty."""
    zero_errors: tuple[float, ...] = ()
    """Standard errors of b."""

    @property
    def relative_degree(self) -> int:
        """How many more derivatives of its positions than of its commands."""
        return self.terms.order - bool(self.zeros)

    @cached_property
    def _theta(self) -> tuple[Array, Array]:
        theta = np.array(self.coefficients)
        return theta[: self.terms.num_top].T, theta[self.terms.num_top :]

    @cached_property
    def zero_times(self) -> Array:
        """(num_joints,) b, zeros where there are none [s]."""
        return np.array(self.zeros or (0.0,) * self.terms.num_joints)

    def highest(self, state: list[Array], command: Array) -> Array:
        """(num_joints,) highest derivative, given those below and the command with what its zero adds."""
        left = command - self.terms.rest(state) @ self._theta[1]
        if not self.terms.couplings:
            return left @ self._mobility
        moved = left - self._theta[0] @ self.terms.offsets(state)
        return np.linalg.solve(self.mass(state[0]), moved).astype(np.float64)

    def mass(self, positions: Array) -> Array:
        """(num_joints, num_joints) commands per highest derivative at `positions`."""
        return self._theta[0] @ self.terms.weights(positions)

    @cached_property
    def _mobility(self) -> Array:
        """Of a loop whose mass is the same everywhere: the inverse, transposed."""
        return np.linalg.inv(self._theta[0]).T.astype(np.float64)

    def step(self, state: Array, before: Array, after: Array, dt: float, steps: int) -> Array:
        """The state (order, num_joints) `dt` [s] later (Runge–Kutta); the command moves from `before` to `after`."""
        rate = self.zero_times * (after - before) / dt
        h = dt / steps
        for number in range(steps):
            first, last = number / steps, (number + 1) / steps
            ends = [before + share * (after - before) + rate for share in (first, (first + last) / 2, last)]
            k1 = self._slope(state, ends[0])
            k2 = self._slope(state + h / 2 * k1, ends[1])
            k3 = self._slope(state + h / 2 * k2, ends[1])
            k4 = self._slope(state + h * k3, ends[2])
            state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return state

    def _slope(self, state: Array, command: Array) -> Array:
        return np.concatenate([state[1:], self.highest(list(state), command)[None]])

    def simulate(self, commands: Array, dt: float, start: Array) -> list[Array]:
        """Derivatives 0..n of the positions under held commands.

        Args:
            commands: (T, num_joints), held from sample to sample.
            dt: [s]
            start: (order, num_joints) state at the first sample.

        Returns:
            order + 1 arrays (T, num_joints).

        Raises:
            ArithmeticError: the simulation came apart.
        """
        held = delayed(commands, self.delay / dt + bool(self.zeros) / 2)  # a ramp to the next runs half a sample ahead
        states, top = np.empty((len(held), *start.shape)), np.empty_like(held)
        state, steps = start, self.steps(dt, start[0])
        with np.errstate(all="ignore"):
            for row, command in enumerate(held):
                states[row], top[row] = state, self.highest(list(state), command)
                after = held[min(row + 1, len(held) - 1)] if self.zeros else command
                state = self.step(state, command, after, dt, steps)
                if not np.abs(state[0]).max() < FAR:
                    raise ArithmeticError(f"the loop is unstable: positions leave ±{FAR:g} rad after {row * dt:.2f} s")
        return [*np.moveaxis(states, 1, 0), top]

    def inverse(self, positions: Array, dt: float, bandwidth: float | None = None) -> Array:
        """Commands under which the joints follow recorded positions; they are known ahead, so the delay is made up for.

        Args:
            positions: (T, num_joints), noisy as they are.
            dt: [s]
            bandwidth: Of the differentiating filter [rad/s]; as the motion asks if left out.
        """
        order = self.terms.order
        wanted = derivatives(positions, dt, bandwidth or bandwidth_of(positions, dt), order)
        return self.commands(advanced(wanted, (self.delay + dt / 2) / dt), dt)

    def commands(self, wanted: Sequence[Array] | Array, dt: float, last: Array | None = None) -> Array:
        """(T, num_joints) commands of wanted derivatives 0..n, each (T, num_joints); delay and holding are left out.

        Args:
            wanted: The derivatives.
            dt: [s]
            last: (num_joints,) command before the first, where there are zeros; as if at rest if left out.
        """
        asked = self.terms.regressors(wanted) @ np.array(self.coefficients)
        if not self.zeros:
            return asked
        commands, kept = np.empty_like(asked), self.zero_times / (self.zero_times + dt)  # as late as r + b ṙ = asked
        for row, one in enumerate(asked):
            last = commands[row] = one if last is None else one + kept * (last - one)
        return commands

    def poles(self, positions: Array) -> NDArray[np.complex128]:
        """(order · num_joints,) of small motion about `positions`, under a command that holds the joints there [1/s].

        Raises:
            numpy.linalg.LinAlgError: commands do not determine the highest derivatives there.
        """
        rest, command = self.rest_state(positions), self.at_rest(positions)
        columns = [
            (self._slope(rest + nudge, command) - self._slope(rest - nudge, command)).ravel() / (2.0 * NUDGE)
            for nudge in NUDGE * np.eye(rest.size).reshape(-1, *rest.shape)
        ]
        return np.linalg.eigvals(np.stack(columns, axis=1)).astype(np.complex128)

    def steps(self, dt: float, positions: Array) -> int:
        """Steps of the integration in a time `dt` [s], so that the fastest motion about `positions` stays bounded."""
        return max(1, math.ceil(dt * max(1.0 / STEP, float(np.abs(self.poles(positions)).max()) / REACH) - 1e-9))

    def at_rest(self, positions: Array) -> Array:
        """(num_joints,) command that holds the joints where they are."""
        still = [positions, *(np.zeros_like(positions) for _ in range(self.terms.order))]
        return self.terms.regressors(still) @ np.array(self.coefficients)

    def rest_state(self, positions: Array) -> Array:
        """(order, num_joints) state of joints at rest."""
        return np.concatenate([positions[None], np.zeros((self.terms.order - 1, len(positions)))])


def delayed(samples: Array, rows: float) -> Array:
    """Held samples `rows` later, a fraction of one as the share of the time in between; the first fills the gap."""
    whole, share = int(np.floor(rows)), rows - np.floor(rows)
    late = samples[np.clip(np.arange(len(samples)) - whole, 0, None)]
    later = samples[np.clip(np.arange(len(samples)) - whole - 1, 0, None)]
    return (1.0 - share) * late + share * later


def advanced(arrays: list[Array], rows: float) -> list[Array]:
    """Smooth samples `rows` earlier, by linear interpolation; the last one stays."""
    count = len(arrays[0])
    at = np.clip(np.arange(count) + rows, 0, count - 1)
    return [np.stack([np.interp(at, np.arange(count), joint) for joint in array.T], axis=1) for array in arrays]
