"""How soon a go1 walks: training time until the velocity score is 0.85, over seeds.

    python -m benchmarks.training --part walking [--tier full]

A privileged teacher as in `make demo`: 256 worlds, a physics thread a core. Every `BETWEEN` steps, not before `FIRST`,
the policy is scored on the 128 fixed episodes of 10 s, which does not count as time. A seed that never gets there
counts with all its time, a lower bound; `go1_reached_085` tells how many did.
"""

import time

from stable_baselines3.common.callbacks import BaseCallback

import envs.tasks
import robots
from benchmarks.report import Report, Tier
from benchmarks.walkers import ROBOT, TASK, learner
from policies.evaluation import evaluate
from policies.seeds import part_seed
from policies.threads import one_torch_thread

GOOD, MOST = 0.85, 2_000_000
"""The score to reach, and after how many environment steps to give up."""
FIRST, BETWEEN = 400_000, 60_000
"""Environment steps before the first judgement and between two."""
SEEDS: dict[Tier, tuple[int, ...]] = {"smoke": (), "ci": (0,), "full": (0, 1, 2, 3, 4)}


def measure(tier: Tier, report: Report) -> None:
    """Add the row `go1_seconds_to_085`, and the steps behind it."""
    if not SEEDS[tier]:
        report.skipped["go1_seconds_to_085"] = f"takes minutes: not in tier {tier}"
        return
    one_torch_thread()
    races, seeds = [_Race(seed).run() for seed in SEEDS[tier]], SEEDS[tier]
    report.add("go1_seconds_to_085", "s", [race.seconds for race in races], seeds)
    report.ratios["go1_seconds_to_085"] = report.rows[-1].value
    report.add("go1_steps_to_085", "env steps", [float(race.ppo.num_timesteps) for race in races], seeds)
    report.add("go1_score_then", "score", [race.score for race in races], seeds)
    report.add("go1_reached_085", f"of {len(seeds)} seeds", [float(sum(race.score >= GOOD for race in races))])
    report.configurations["go1_seconds_to_085"] = "privileged PPO, 256 worlds, default randomization"


class _Race(BaseCallback):
    """One training, stopped once it is good."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.ppo = learner(256, privileged=True, seed=seed, world_seed=part_seed(seed, "worlds"))
        self.seconds, self.score, self.next = 0.0, 0.0, FIRST

    def run(self) -> "_Race":
        """Train until the policy is good."""
        self.since = time.perf_counter()
        self.ppo.learn(MOST, callback=self)
        return self

    def _on_rollout_start(self) -> None:
        self.seconds += time.perf_counter() - self.since
        if self.num_timesteps >= self.next:
            self.next += BETWEEN
            self.score = evaluate(robots.get(ROBOT), envs.tasks.get(TASK), self._act).score
        self.since = time.perf_counter()

    def _act(self, observation):  # type: ignore[no-untyped-def]
        return self.ppo.policy._predict(observation, deterministic=True)

    def _on_step(self) -> bool:
        return self.score < GOOD
