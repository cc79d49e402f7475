"""Gymnasium's own random numbers, one generator a world, as an array that a checkpoint can hold."""

from collections.abc import Sequence

import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray

MASK = (1 << 64) - 1


def generators(seed: int, num_worlds: int) -> list[np.random.Generator]:
    """World i draws what Gymnasium's environment of seed + i draws."""
    return [seeding.np_random(seed + world)[0] for world in range(num_worlds)]


def to_rows(generators: Sequence[np.random.Generator]) -> NDArray[np.int64]:
    """(n, 6) states of PCG64: state and increment in two halves each, and the buffered half of a draw."""
    rows = []
    for generator in generators:
        state = generator.bit_generator.state
        numbers = state["state"]["state"], state["state"]["inc"]
        halves = [half for number in numbers for half in (number >> 64, number & MASK)]
        rows.append([*halves, state["has_uint32"], state["uinteger"]])
    return np.array(rows, dtype=np.uint64).view(np.int64)


def from_rows(rows: NDArray[np.int64]) -> list[np.random.Generator]:
    """Generators that go on where `to_rows` read them."""
    restored = []
    for high, low, inc_high, inc_low, has_half, half in rows.view(np.uint64).tolist():
        generator = np.random.Generator(np.random.PCG64())
        generator.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": high << 64 | low, "inc": inc_high << 64 | inc_low},
            "has_uint32": has_half,
            "uinteger": half,
        }
        restored.append(generator)
    return restored
