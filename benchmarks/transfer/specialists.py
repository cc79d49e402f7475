"""Specialists: each body learned from scratch, until its curve is flat. Their score is what N counts as 1.

A policy is judged again and again. Training ends once its curve rises less than 5 % of its range over its last fifth
(`sim2real.statistics.has_flattened`), not before a least number of steps, since a policy that knows nothing yet has a
flat curve too, and at a greatest number in any case. Actors see what hardware measures; randomization and
hyperparameters are those that `sim2real train` has by default. Networks: "mlp", and "tokens", a policy over joints that
learns one body alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import envs.tasks
import robots
from benchmarks.transfer.bodies import Body
from benchmarks.transfer.work import Piece, Work
from benchmarks.walkers import learner
from envs.randomization import preset
from policies.evaluation import evaluate, no_op
from policies.hyperparameters import for_task
from policies.members.training import MemberTraining
from policies.members.worlds import Member
from policies.seeds import part_seed
from policies.skill import Skill, skill_of
from policies.threads import one_torch_thread
from policies.tokens.generalist import folded
from policies.tokens.learner import TokenPPO
from policies.tokens.policy import TokenPolicy
from policies.tokens.worlds import BodyWorlds
from policies.training import CurvePoint, StoppedError, Training
from sim2real.stages.results import SKILL
from sim2real.statistics import Curve, has_flattened

UNTIL: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {"velocity": (250_000, 1_250_000, 3_000_000), "reach": (50_000, 200_000, 500_000)}
)
"""Task -> environment steps between two judgements, before a curve may count as flat, and after which training ends."""
NUM_WORLDS: Mapping[str, int] = MappingProxyType({"velocity": 256, "reach": 64})
"""Task -> worlds: an arm learns as much from a quarter of the samples between two updates."""


def specialist(body: Body, network: str, seed: int) -> Piece:
    """One training of one body."""
    return Piece(
        kind="specialist",
        label=f"{body.label} {network} {seed}",
        what={
            "robot": body.robot,
            "model_hash": body.spec.model_hash,
            "task": body.task,
            "network": network,
            "seed": seed,
            "num_envs": NUM_WORLDS[body.task],
            "until": list(UNTIL[body.task]),
        },
    )


def do(piece: Piece, folder: Path, work: Work) -> dict[str, Any] | None:
    """Train until the curve is flat; nothing if time was up before."""
    one_torch_thread()
    network = NETWORKS[piece.what["network"]]
    between, least, most = piece.what["until"]
    training = network.training(piece, most, folder / "training.safetensors", work.num_threads)
    training.curve_points = most // between - 1
    flat = False

    def should_stop() -> bool:
        nonlocal flat
        flat = is_flat(training.curve, least)
        return flat or work.over

    training.should_stop = should_stop
    try:
        training.run()
    except StoppedError:
        if not flat:
            return None
    skill = network.skill(training, piece)
    skill.save(folder / SKILL)
    return _scored(piece, skill, training, work.num_threads) | {"flat": flat}


def is_flat(curve: list[CurvePoint], least: int) -> bool:
    """Whether a curve of at least so many environment steps rises no more."""
    return bool(curve) and curve[-1].env_steps >= least and has_flattened(Curve.of([asdict(point) for point in curve]))


@dataclass(frozen=True)
class Network:
    """A kind of network as a specialist."""

    training: Callable[[Piece, int, Path, int], Training]
    """(piece, most environment steps, file of checkpoints, physics threads) -> a run that has not begun."""
    skill: Callable[[Training, Piece], Skill]
    """What a run has learned, as an ordinary skill of its body."""


def _plain(piece: Piece, most: int, file: Path, num_threads: int) -> Training:
    ppo = learner(
        piece.what["num_envs"],
        robot=piece.what["robot"],
        task=piece.what["task"],
        num_threads=num_threads,
        seed=piece.what["seed"],
        world_seed=part_seed(piece.what["seed"], "worlds"),
    )
    return Training(ppo, most, file, num_threads=num_threads)


def _plain_skill(training: Training, piece: Piece) -> Skill:
    steps = training.ppo.num_timesteps
    return skill_of(training.ppo.policy, training.env.env, robot=piece.what["robot"], env_steps=steps)


def _tokens(piece: Piece, most: int, file: Path, num_threads: int) -> Training:
    member = Member.named(f"{piece.what['robot']}:{piece.what['task']}")
    wanted = for_task(member.spec, member.task)
    worlds = BodyWorlds(
        [member],
        num_envs=piece.what["num_envs"],
        randomization=preset("default"),
        seed=part_seed(piece.what["seed"], "worlds"),
        num_threads=num_threads,
        gamma=wanted.gamma,
    )
    ppo = TokenPPO(worlds, privileged=False, hyperparameters=wanted, seed=piece.what["seed"])
    return MemberTraining(ppo, most, file, num_threads=num_threads)


def _tokens_skill(training: Training, piece: Piece) -> Skill:
    policy = training.ppo.policy
    assert isinstance(training, MemberTraining)
    assert isinstance(policy, TokenPolicy)
    worlds = training.worlds.worlds[0]
    own = folded(policy, policy.row.bodies[0], worlds.terms, float(training.worlds.scale.size[0]))
    return skill_of(own, worlds, robot=piece.what["robot"], env_steps=training.ppo.num_timesteps)


NETWORKS: Mapping[str, Network] = MappingProxyType(
    {"mlp": Network(_plain, _plain_skill), "tokens": Network(_tokens, _tokens_skill)}
)


def _scored(piece: Piece, skill: Skill, training: Training, num_threads: int) -> dict[str, Any]:
    """Score the skill on the fixed episodes."""
    spec, task = robots.get(piece.what["robot"]), envs.tasks.get(piece.what["task"])
    evaluation = evaluate(spec, task, skill.player(), num_threads=num_threads)
    return {
        "score": evaluation.score,
        "yaw_score": evaluation.yaw_score,
        "falls": evaluation.falls,
        "no_op": evaluate(spec, task, no_op(spec, task), num_threads=num_threads).score,
        "env_steps": training.ppo.num_timesteps,
        "seconds": training.seconds,
        "curve": [{"env_steps": point.env_steps, "score": point.score} for point in training.curve],
    }
