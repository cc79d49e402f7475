"""The peer's end of the line protocol: one JSON object a line.

<- {"ready": true, "processes": [pid, ...]}
-> 10000
<- {"steps": 10240, "seconds": 0.31}
"""

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np


def arguments() -> argparse.Namespace:
    """What every peer is started with."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--num-envs", type=int, required=True)
    parser.add_argument("--num-threads", type=int, required=True)
    return parser.parse_args()


def random_actions(num_envs: int) -> Iterator[np.ndarray]:
    """(num_envs, 6) float32 in -1..1, the same sixteen over and over: drawing them costs the peer no time."""
    return itertools.cycle(np.random.default_rng(0).uniform(-1, 1, (16, num_envs, 6)).astype(np.float32))


def serve(advance: Callable[[], int], processes: Sequence[int] = ()) -> None:
    """Answer until the input ends.

    Args:
        advance: Step every environment once; returns how many environment steps that were.
        processes: That step environments, beside this one.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr  # libraries may print
    _say(answers, {"ready": True, "processes": [os.getpid(), *processes]})
    for line in sys.stdin:
        wanted, taken, started = int(line), 0, time.perf_counter()
        while taken < wanted:
            taken += advance()
        _say(answers, {"steps": taken, "seconds": time.perf_counter() - started})


def _say(answers: object, message: dict) -> None:
    print(json.dumps(message), file=answers, flush=True)  # type: ignore[call-overload]
