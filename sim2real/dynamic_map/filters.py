"""Derivatives of noisy samples by state-variable filters, which no finite difference comes near.

A state-variable filter hands out a signal and its derivatives behind one low-pass, F(s) s^k. Applied to commands and
positions alike it changes no linear equation between them. Here F is a Butterworth filter run forward and backward,
|F| = 1/(1 + (ω/λ)^2N): flat below λ and without phase, so products of its outputs keep their timing. It is applied in
the frequency domain to the signal continued point-symmetrically beyond its ends.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
POLES = 4
"""N; derivatives up to the third are smooth."""
MARGIN = 6.0
"""Of the samples at the ends that the filter falsifies [1/λ]."""
POWER, FACTOR = 0.98, 2.5
"""Motion is let through up to `FACTOR` times the frequency below which that share of its power lies."""


def margin(dt: float, bandwidth: float) -> int:
    """Samples to leave out at each end."""
    return int(np.ceil(MARGIN / (bandwidth * dt)))


def bandwidth_of(positions: Array, dt: float) -> float:
    """λ that lets a motion (T, num_joints) through, and as little noise as may be [rad/s]."""
    moving = (positions - positions.mean(axis=0)) * np.hanning(len(positions))[:, None]
    power = (np.abs(np.fft.rfft(moving, axis=0)) ** 2).sum(axis=1)
    edge = np.searchsorted(np.cumsum(power) / power.sum(), POWER)
    return float(min(FACTOR * 2.0 * np.pi * np.fft.rfftfreq(len(moving), dt)[edge], 0.6 * np.pi / dt))


def derivatives(samples: Array, dt: float, bandwidth: float, highest: int) -> list[Array]:
    """A signal and its derivatives, smoothed.

    Args:
        samples: (T, num_joints), interpolated between samples.
        dt: Time between samples [s].
        bandwidth: λ [rad/s].
        highest: Number of derivatives.

    Returns:
        `highest` + 1 arrays of the shape of `samples`, the k-th in units per s^k.
    """
    return _filtered(samples, dt, bandwidth, highest, np.ones_like)


def held(samples: Array, dt: float, bandwidth: float, highest: int, delay: float) -> list[Array]:
    """The same of commands that are held from sample to sample and arrive `delay` [s] later."""

    def hold(frequency: Array) -> NDArray[np.complex128]:
        return np.sinc(frequency * dt / (2.0 * np.pi)) * np.exp(-1j * frequency * (delay + dt / 2.0))

    return _filtered(samples, dt, bandwidth, highest, hold)


def _filtered(
    samples: Array, dt: float, bandwidth: float, highest: int, response: Callable[..., NDArray]
) -> list[Array]:
    ends = min(len(samples) - 1, 2 * margin(dt, bandwidth))
    before, after = 2 * samples[0] - samples[ends:0:-1], 2 * samples[-1] - samples[-2 : -2 - ends : -1]
    continued = np.concatenate([before, samples, after])
    continued = np.concatenate([continued, continued[::-1]])  # no jump where the period closes
    frequency = 2.0 * np.pi * np.fft.rfftfreq(len(continued), dt)[:, None].astype(np.float64)
    low_pass = response(frequency) / (1.0 + (frequency / bandwidth) ** (2 * POLES))
    spectrum = np.fft.rfft(continued, axis=0) * low_pass
    every = [np.fft.irfft(spectrum * (1j * frequency) ** k, len(continued), axis=0) for k in range(highest + 1)]
    return [one[ends : ends + len(samples)] for one in every]
