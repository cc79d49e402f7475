"""What a second rank brings: the same training by one process pinned to a core, and by two ranks on two cores.

    python -m benchmarks.two_ranks [--tier smoke|ci|full] [--json FILE]

go1's velocity task, one physics thread and one torch thread a rank; ranks are plain processes that speak gloo, as those
of `sim2real train --workers 2` do. Whole iterations are timed, rollout and update, in turns: A B C A B C.

- `one_rank`: 256 worlds.
- `two_ranks`: 256 worlds of each rank; what a second core lets one simulate more.
- `two_ranks_shared`: 256 worlds in all, 128 of each rank; what a second core spares of the same training.

The ratios are of samples per second. Where others use the cores too they say little, so samples per CPU second are told
beside them: `…_cpu` of 1 would be a second rank for free, and its double is what two idle cores can give at most.
"""

import os
import tempfile
import time
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing

from benchmarks import report
from benchmarks.report import Report, Tier
from benchmarks.walkers import learner
from policies.collective import ALONE
from policies.ppo import PPO
from policies.seeds import part_seed
from policies.threads import one_torch_thread

SEED = 0
NUM_WORLDS = 256
TURNS: dict[Tier, tuple[int, int]] = {"smoke": (1, 1), "ci": (3, 4), "full": (5, 12)}
"""Turns, and iterations in each."""


@dataclass
class Group:
    """Ranks that wait to be told to learn, on as many cores; they share them, as those that Ray starts do.

    Gloo's threads would spin for each other on a core that they had to share with the learner.
    """

    size: int
    num_worlds: int
    """Of each rank."""
    pipes: list[Connection] = field(default_factory=list)
    processes: list[Any] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)
    """Samples per second, one figure a turn."""
    per_cpu_s: list[float] = field(default_factory=list)

    def start(self, folder: Path) -> None:
        context = torch.multiprocessing.get_context("spawn")
        cores = sorted(os.sched_getaffinity(0))
        for rank in range(self.size):
            ours, theirs = context.Pipe()
            place = (rank, self.size, set(cores[: self.size]), str(folder / f"store-{self.num_worlds}"))
            process = context.Process(target=_rank, args=(theirs, self.num_worlds, *place), daemon=True)
            process.start()
            theirs.close()  # so that a rank that dies ends what is read from it
            self.pipes.append(ours)
            self.processes.append(process)

    def learn(self, iterations: int) -> tuple[int, float, float]:
        """Samples of all ranks, wall and CPU time of all ranks [s]."""
        started = time.perf_counter()
        for pipe in self.pipes:
            pipe.send(iterations)
        try:
            answers = [pipe.recv() for pipe in self.pipes]
        except EOFError:
            raise RuntimeError(f"one of {self.size} ranks ended in a turn; its complaint stands above") from None
        return answers[0][0], time.perf_counter() - started, sum(cpu for _, cpu in answers)

    def take_turn(self, iterations: int) -> None:
        samples, wall, cpu = self.learn(iterations)
        self.per_s.append(samples / wall)
        self.per_cpu_s.append(samples / cpu)

    def stop(self) -> None:
        for pipe in self.pipes:
            pipe.send(0)
        for process in self.processes:
            process.join()


def measure(tier: Tier, figures: Report) -> None:
    """Add the rows and ratios."""
    turns, iterations = TURNS[tier]
    if len(os.sched_getaffinity(0)) < 2:
        figures.skipped["two_ranks"] = "this process may use one core only"
        return
    one, two, shared = Group(1, NUM_WORLDS), Group(2, NUM_WORLDS), Group(2, NUM_WORLDS // 2)
    groups = {"one_rank": one, "two_ranks": two, "two_ranks_shared": shared}
    with tempfile.TemporaryDirectory() as folder:
        for group in groups.values():
            group.start(Path(folder))
        for group in groups.values():
            group.learn(1)
        for _ in range(turns):
            for group in groups.values():
                group.take_turn(iterations)
        for group in groups.values():
            group.stop()
    for name, group in groups.items():
        figures.add(f"{name}_steps_per_s", "env steps/s", group.per_s, (SEED,))
        figures.add(f"{name}_steps_per_cpu_s", "env steps/CPU s", group.per_cpu_s, (SEED,))
    for name, group in (("two_ranks", two), ("two_ranks_shared", shared)):
        figures.compare(name, group.per_s, one.per_s, (SEED,))
        figures.compare(f"{name}_cpu", group.per_cpu_s, one.per_cpu_s, (SEED,))


def _rank(pipe: Connection, num_worlds: int, rank: int, size: int, cores: set[int], store: str) -> None:
    """Learn for as many iterations as the pipe says, until it says 0."""
    os.sched_setaffinity(0, cores)
    one_torch_thread()
    ppo = _learner(num_worlds, rank, size, store)
    while iterations := pipe.recv():
        before, cpu = ppo.num_timesteps, time.process_time()
        ppo.learn(iterations * ppo.n_steps * num_worlds * size, reset_num_timesteps=ppo._last_obs is None)
        pipe.send((ppo.num_timesteps - before, time.process_time() - cpu))
    if size > 1:
        dist.destroy_process_group()


def _learner(num_worlds: int, rank: int, size: int, store: str) -> PPO:
    collective: Any = ALONE
    if size > 1:
        from sim2real.collective import Together

        dist.init_process_group(
            "gloo", init_method=f"file://{store}", rank=rank, world_size=size, timeout=timedelta(minutes=5)
        )
        collective = Together()
    own = part_seed(SEED, f"worlds of rank {rank}")
    return learner(num_worlds, num_threads=1, seed=SEED, world_seed=own, collective=collective)


if __name__ == "__main__":
    report.run("two_ranks", {"two_ranks": measure})
