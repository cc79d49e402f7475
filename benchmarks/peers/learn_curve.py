"""The learner's end of `benchmarks.returns`: learn for a time, and say now and then how good the policy is.

    <- {"seconds": 12.0, "env_steps": 245760, "return": 310.5}      one JSON object a line

The clock stands still while a policy is judged: mean return of its deterministic actions over ten episodes of
Gymnasium's own HalfCheetah-v5, the same each time.
"""

import argparse
import json
import time
from collections.abc import Callable

import gymnasium
import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

EPISODES, POINTS = 10, 40


def arguments() -> argparse.Namespace:
    """What a learner is started with."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--num-threads", type=int, default=1)
    return parser.parse_args()


class Curve(BaseCallback):
    """Judges the policy `POINTS` times within the budget, and ends the learning after it."""

    def __init__(self, seconds: float, act: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__()
        self.budget, self.act = seconds, act
        self.env = gymnasium.make_vec("HalfCheetah-v5", EPISODES, vectorization_mode="sync")
        self.used, self.judged = 0.0, 0

    def _on_training_start(self) -> None:
        self.since = time.perf_counter()

    def _on_rollout_start(self) -> None:
        self.used += time.perf_counter() - self.since
        if self.used >= self.judged * self.budget / POINTS:
            self.judged += 1
            line = {"seconds": self.used, "env_steps": self.num_timesteps, "return": self._judge()}
            print(json.dumps(line), flush=True)
        self.since = time.perf_counter()

    def _on_step(self) -> bool:
        return self.used < self.budget

    def _judge(self) -> float:
        observation, total = self.env.reset(seed=10_000)[0], np.zeros(EPISODES)
        for _ in range(1000):
            observation, reward, *_ = self.env.step(self.act(observation))
            total += reward
        return float(total.mean())
