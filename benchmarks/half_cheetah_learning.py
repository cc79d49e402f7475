"""HalfCheetah-v5, learning included: our PPO beside rsl_rl, stock Stable-Baselines3 and a single-file PPO, in one run.

Every learner is a process of its own and takes turns of whole iterations, rollout and update. `raw` is the engine's
limit: bare stepping of the model with random controls. Torch runs on one thread everywhere.
"""

from dataclasses import dataclass

from benchmarks.half_cheetah import Effort, taken_turns
from benchmarks.peers.process import Peer, Running
from benchmarks.report import Report, Tier

RSL_RL = (
    "rsl-rl-lib==5.4.2",
    "tensordict==0.15.3",
    "pyvers==0.2.3",
    "orjson==3.13.0",
    "importlib_metadata==10.2.0",
    "tensorboard==2.21.0",
    "tensorboard-data-server==0.7.2",
    "grpcio==1.85.3",
    "markdown==3.11.3",
    "werkzeug==3.1.9",
    "GitPython==3.2.1",
    "gitdb==4.0.12",
    "smmap==5.0.3",
)
"""rsl_rl and what it imports, torch apart."""


@dataclass(frozen=True)
class Learner:
    """A peer and the configuration that its row stands for."""

    peer: Peer
    configuration: str


LARGE = "256 worlds, a thread a core, two 64x64 tanh nets, rollout 8192, minibatch 4096, 5 epochs"
STOCK = "8 environments, two 64x64 tanh nets, minibatch 64, 10 epochs: PPO('MlpPolicy') as it comes"
OURS = Learner(Peer("sim2real", "learn_sim2real.py", (256,)), f"policies.ppo.PPO on our worlds, {LARGE}")
PEERS = (
    Learner(Peer("raw", "run_raw.py", (256,)), "mujoco.batch.Batch, 256 worlds, random controls, no learning"),
    Learner(Peer("rsl_rl", "learn_rsl_rl.py", (256,), additions=RSL_RL), f"rsl_rl 5.4.2 on our worlds, {LARGE}"),
    Learner(
        Peer("sb3_subproc", "learn_sb3.py", (8,), variables={"PEER": "subproc"}), f"SB3, a process each of {STOCK}"
    ),
    Learner(Peer("sb3_dummy", "learn_sb3.py", (8,), variables={"PEER": "dummy"}), f"SB3, one process for {STOCK}"),
    Learner(
        Peer("single_file", "learn_single_file.py", (1,)),
        "one environment, two 64x64 tanh nets, rollout 2048, minibatch 64, 10 epochs: benchmarks/peers",
    ),
)
EFFORTS: dict[Tier, Effort] = {
    "smoke": Effort(rounds=1, seconds=0.1, choose=False),
    "ci": Effort(rounds=3, seconds=2.0, choose=False),
    "full": Effort(rounds=7, seconds=6.0, choose=False),
}


def measure(tier: Tier, report: Report) -> None:
    """Add the rows and ratios; peers that cannot be had are listed as skipped."""
    peers = [learner.peer for learner in PEERS]
    compare(taken_turns(OURS.peer, peers, EFFORTS[tier], report), report)


def compare(running: dict[str, Running], report: Report) -> None:
    """Rows of all with their configurations, and ratios of ours to each."""
    ours = running[OURS.peer.name]
    for learner in (OURS, *PEERS):
        name, peer = learner.peer.name, running.get(learner.peer.name)
        if peer is None:
            continue
        report.add(f"halfcheetah_{name}_steps_per_s", "env steps/s", peer.per_s)
        report.add(f"halfcheetah_{name}_steps_per_cpu_s", "env steps/CPU s", peer.per_cpu_s)
        report.configurations[f"halfcheetah_{name}"] = learner.configuration
        if learner is not OURS:
            report.compare(f"halfcheetah_vs_{name}", ours.per_s, peer.per_s)
            report.compare(f"halfcheetah_vs_{name}_cpu", ours.per_cpu_s, peer.per_cpu_s)
