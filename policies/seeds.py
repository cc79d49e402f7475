"""One seed for a run, an unrelated generator for each of its parts."""

import numpy as np


def part_seed(seed: int, part: str) -> int:
    """Seed of the part of a run called `part`, such as "worlds" or "learner": equal seeds would draw equal numbers."""
    words = [seed, *part.encode()]
    return int(np.random.SeedSequence(words).generate_state(1)[0])
