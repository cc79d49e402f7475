"""Policies over joints of either network, trained alike, and what they score on bodies they never met."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

import envs.tasks
from benchmarks.networks.attention_tokens import AttentionPPO
from benchmarks.transfer.bodies import Body
from benchmarks.transfer.work import Piece, Work
from envs import embodiments
from envs.embodiments.embodiment import Actor
from envs.randomization import preset
from policies.evaluation import evaluate
from policies.files import checkpoint
from policies.hyperparameters import for_task
from policies.members.training import MemberTraining, on_common_rows
from policies.members.worlds import Member
from policies.networks import ActorCritic, blank
from policies.seeds import part_seed
from policies.threads import one_torch_thread
from policies.tokens import body as joints
from policies.tokens.learner import TokenPPO
from policies.tokens.row import BodyRow
from policies.tokens.worlds import BodyWorlds
from policies.training import StoppedError

NETWORKS: Mapping[str, type[TokenPPO]] = MappingProxyType({"generated": TokenPPO, "attention": AttentionPPO})
NUM_WORLDS = 256
"""Of all bodies together, in equal parts."""
CURVE_POINTS = 3
POLICY = "policy.safetensors"


def source(network: str, bodies: Sequence[Body], steps: int, seed: int) -> Piece:
    """One policy over joints that learns all of `bodies`."""
    return Piece(
        kind="network",
        label=f"{len(bodies)} x {bodies[0].label} {network} {seed}",
        what={
            "network": network,
            "members": [body.member for body in bodies],
            "model_hashes": [body.spec.model_hash for body in bodies],
            "steps": steps,
            "num_envs": NUM_WORLDS,
            "seed": seed,
        },
    )


def learner_of(piece: Piece, num_threads: int) -> TokenPPO:
    """What learns the bodies of a piece, with what `sim2real multitask` has by default."""
    members, seed = [Member.named(name) for name in piece.what["members"]], piece.what["seed"]
    wanted = for_task(members[0].spec, members[0].task)
    worlds = BodyWorlds(
        members,
        num_envs=piece.what["num_envs"] // len(members),
        randomization=preset("default"),
        seed=part_seed(seed, "worlds"),
        num_threads=num_threads,
        gamma=wanted.gamma,
    )
    return NETWORKS[piece.what["network"]](worlds, privileged=False, hyperparameters=wanted, seed=seed)


def train(piece: Piece, folder: Path, work: Work) -> dict[str, Any] | None:
    """Do a `source`; nothing if time was up before."""
    one_torch_thread()
    ppo = learner_of(piece, work.num_threads)
    training = MemberTraining(
        ppo,
        piece.what["steps"],
        folder / "training.safetensors",
        num_threads=work.num_threads,
        curve_points=CURVE_POINTS,
        should_stop=lambda: work.over,
    )
    try:
        training.run()
    except StoppedError:
        return None
    checkpoint.save(folder / POLICY, dict(ppo.policy.state_dict()), {"kind": "network"})
    return {
        "env_steps": ppo.num_timesteps,
        "seconds": training.learning_seconds,
        "curve": [{"env_steps": point.env_steps, "score": point.score} for point in training.curve],
    }


def zero_shot(piece: Piece, body: Body) -> Piece:
    """The score of what a `source` learned on another body."""
    what = {"robot": body.robot, "task": body.task, "model_hash": body.spec.model_hash}
    return Piece(
        kind="network_zero_shot",
        label=f"{piece.label} on {body.label}",
        what={"source": piece.key, "network": piece.what["network"]} | what,
    )


def score(source: Piece, body: Body) -> Callable[[Piece, Path, Work], dict[str, Any]]:
    """Scores a `zero_shot` piece on the fixed episodes."""

    def doing(piece: Piece, folder: Path, work: Work) -> dict[str, Any]:
        one_torch_thread()
        weights, _ = checkpoint.load(work.folder(source) / POLICY)
        task = envs.tasks.get(body.task)
        actor = actor_on(NETWORKS[source.what["network"]].policy_of_members, weights, body)
        evaluation = evaluate(body.spec, task, actor, num_threads=work.num_threads)
        return {"score": evaluation.score, "falls": evaluation.falls}

    return doing


def actor_on(kind: type[ActorCritic], weights: Mapping[str, torch.Tensor], body: Body) -> Actor:
    """A trained policy with these weights, on any body, by raw observations."""
    terms = embodiments.terms(body.spec, envs.tasks.get(body.task))
    row = BodyRow([joints.Body.of(body.spec, terms)], [terms])
    wanted = for_task(body.spec, envs.tasks.get(body.task))
    shape = wanted.hidden, wanted.activation
    policy = blank(kind, row.width, body.spec.num_joints, *shape, row=row, privileged=False)
    policy.load_state_dict(weights)

    def act(rows: torch.Tensor) -> torch.Tensor:
        return policy._predict(rows, deterministic=True)

    return on_common_rows(act, row, 0, body.spec.num_joints)  # type: ignore[arg-type]  # same calls
