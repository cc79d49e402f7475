"""HalfCheetah-v5: our native worlds beside EnvPool, mjbatch, Stable-Baselines3 and Gymnasium, all in one run.

Every peer is a process of its own, at the fastest of its sizes, with random actions. They take turns (A B C … A B C
…), so that whatever else the machine does befalls all alike, and a ratio is the median over turns. Beside the wall
clock, CPU time is measured (`…_per_cpu_s`): it holds on a machine that others use too. EnvPool is compared at the
faster of its two modes.
"""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.peers.process import MissingError, Peer, Running
from benchmarks.report import Report, Tier
from sim2real.campaign.resources import cores

ENVPOOL, MJBATCH = ("envpool==1.2.5",), ("mjbatch==0.1.4",)
OURS = Peer("sim2real", "run_sim2real.py", (256, 512, 1024))
PEERS = (
    Peer("envpool_sync", "run_envpool_sync.py", (64, 128), ENVPOOL),
    Peer("envpool_async", "run_envpool_async.py", (128, 256), ENVPOOL),
    Peer("mjbatch", "run_mjbatch.py", (256, 512, 1024), MJBATCH),
    Peer("sb3_dummy", "run_sb3.py", (8,), variables={"PEER": "dummy"}),
    Peer("sb3_subproc", "run_sb3.py", (8, 4), variables={"PEER": "subproc"}),
    Peer("gym_async", "run_gymnasium.py", (8, 4)),
)


@dataclass(frozen=True)
class Effort:
    """How long turns are."""

    rounds: int
    seconds: float
    """About what a turn takes [s]."""
    choose: bool
    """Whether to try all sizes of a peer first, or take the first one."""


EFFORTS: dict[Tier, Effort] = {
    "smoke": Effort(rounds=1, seconds=0.1, choose=False),
    "ci": Effort(rounds=5, seconds=0.5, choose=False),
    "full": Effort(rounds=9, seconds=2.0, choose=True),
}


def measure(tier: Tier, report: Report) -> None:
    """Add the rows and ratios of HalfCheetah-v5 to a report; peers that cannot be had are listed as skipped."""
    compare(taken_turns(OURS, PEERS, EFFORTS[tier], report), report)


def taken_turns(ours: Peer, peers: Sequence[Peer], effort: Effort, report: Report) -> dict[str, Running]:
    """Everyone by name, after all turns; peers that cannot be had are listed as skipped."""
    running: dict[str, Running] = {}
    with ExitStack() as stack:
        for peer in (ours, *peers):
            try:
                running[peer.name] = stack.enter_context(started(peer, effort))
            except MissingError as missing:
                if peer is ours:
                    raise
                report.skipped[f"halfcheetah_{peer.name}"] = str(missing)
        for _ in range(effort.rounds):
            for each in running.values():
                each.take_turn()
    return running


@contextmanager
def started(peer: Peer, effort: Effort) -> Iterator[Running]:
    """The peer at its fastest size, its turns sized."""
    size = peer.sizes[0]
    if effort.choose and len(peer.sizes) > 1:
        size = max(peer.sizes, key=lambda candidate: _speed(peer, candidate, effort))
    running = Running(peer, size, cores())
    try:
        running.size_turns(effort.seconds)
        yield running
    finally:
        running.close()


def _speed(peer: Peer, size: int, effort: Effort) -> float:
    running = Running(peer, size, cores())
    try:
        running.size_turns(effort.seconds / 4)
        return max(running.take_turn() for _ in range(3))
    finally:
        running.close()


def compare(running: dict[str, Running], report: Report) -> None:
    """Rows of all, and ratios of ours to each."""
    ours = running[OURS.name]
    for name, peer in running.items():
        report.add(f"halfcheetah_{name}_steps_per_s", "env steps/s", peer.per_s)
        report.add(f"halfcheetah_{name}_steps_per_cpu_s", "env steps/CPU s", peer.per_cpu_s)
        report.add(f"halfcheetah_{name}_envs", "environments", [peer.num_envs])
    for name, peer in rivals(running).items():
        report.compare(f"halfcheetah_vs_{name}", ours.per_s, peer.per_s)
        report.compare(f"halfcheetah_vs_{name}_cpu", ours.per_cpu_s, peer.per_cpu_s)


def rivals(running: dict[str, Running]) -> dict[str, Running]:
    """By the name of a ratio: EnvPool once, at the faster of its modes."""
    pools = [peer for name, peer in running.items() if name.startswith("envpool")]
    found = {"envpool": max(pools, key=lambda peer: statistics.median(peer.per_s))} if pools else {}
    others = {name: peer for name, peer in running.items() if peer not in pools and name != OURS.name}
    return found | others
