"""What either network costs beside a plain one: an iteration of training, and a decision."""

import time
from collections.abc import Callable, Mapping

import torch

from benchmarks.networks.attention_tokens import AttentionNet
from benchmarks.networks.effort import Effort
from benchmarks.networks.learning import NETWORKS, NUM_WORLDS, learner_of, source
from benchmarks.report import Report
from benchmarks.transfer.bodies import DOG
from benchmarks.transfer.work import Work
from benchmarks.walkers import learner
from policies.networks import ActorCritic
from policies.ppo import PPO
from policies.threads import one_torch_thread
from policies.tokens.generalist import folded
from policies.tokens.policy import TokenPolicy

Turn = Callable[[], float]
"""CPU time of one of what is compared [ms]."""


def measure(effort: Effort, work: Work, report: Report) -> None:
    """Let a plain network and both policies over joints take turns, and add rows and ratios."""
    one_torch_thread()
    learners: dict[str, PPO] = {"mlp": learner(NUM_WORLDS, robot=DOG.robot, task=DOG.task, num_threads=1, seed=0)}
    learners |= {name: learner_of(source(name, [DOG], 0, 0), 1) for name in NETWORKS}
    for name, ppo in learners.items():
        ppo.overlaps = False  # all of an iteration within its turn
        report.configurations[f"parameters_{name}"] = _sizes(ppo.policy)
    _compare("iteration", {name: _learning(ppo) for name, ppo in learners.items()}, effort.turns, report)
    _compare("decision", _deciding(learners, effort.decisions), effort.turns, report)


def _sizes(policy: ActorCritic) -> str:
    actor, critic = (sum(one.numel() for one in net.parameters()) for net in (policy.actor, policy.critic))
    return f"{actor:,} of the actor, {critic:,} of the critic"


def _compare(what: str, turns: Mapping[str, Turn], count: int, report: Report) -> None:
    for turn in turns.values():
        turn()  # warms up
    taken = [{name: turn() for name, turn in turns.items()} for _ in range(count)]
    times = {name: [each[name] for each in taken] for name in turns}
    for name, own in times.items():
        report.add(f"{what}_{name}", "ms of CPU", own)
    for name in NETWORKS:
        report.compare(f"{what}_{name}_over_mlp", times[name], times["mlp"])
    report.compare(f"{what}_attention_over_generated", times["attention"], times["generated"])


def _learning(ppo: PPO) -> Turn:
    def turn() -> float:
        since = time.process_time()
        ppo.learn(ppo.n_steps * ppo.n_envs, reset_num_timesteps=ppo._last_obs is None)
        return 1e3 * (time.process_time() - since)

    return turn


def _deciding(learners: Mapping[str, PPO], count: int) -> dict[str, Turn]:
    """One normalized observation after the other, as a robot sees them, through each actor."""
    generated = learners["generated"].policy
    assert isinstance(generated, TokenPolicy)
    own = generated.row.bodies[0]
    plain = folded(generated, own, generated.row.terms[0], 1.0)
    attention = learners["attention"].policy.actor
    assert isinstance(attention, AttentionNet)
    with torch.no_grad():
        told = attention.told([own])[0]
    actors: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "mlp": learners["mlp"].policy.action_mean,
        "generated": plain.action_mean,
        "attention": lambda row: attention(row, own, told),
    }
    return {name: _decisions(actor, own.width, count) for name, actor in actors.items()}


def _decisions(actor: Callable[[torch.Tensor], torch.Tensor], width: int, count: int) -> Turn:
    rows = torch.randn((count, 1, width), generator=torch.Generator().manual_seed(0))

    @torch.no_grad()
    def turn() -> float:
        since = time.process_time()
        for row in rows:
            actor(row)
        return 1e3 * (time.process_time() - since) / count

    return turn
