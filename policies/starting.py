"""PPO that begins from a skill: from a training run's actor and critic, or from a bundle that knows the actor alone.

A fresh critic, and one whose values are of another robot or task, is wrong about everything at first, and an actor that
believes it unlearns what it knew. So the critic learns alone for some rollouts before the actor moves.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import envs.tasks
import robots
from envs import embodiments
from envs.observations import Term
from envs.state_dicts import Tensors
from envs.task import TaskSpec
from envs.worlds import Worlds
from policies import hyperparameters
from policies.files import checkpoint
from policies.hyperparameters import Hyperparameters
from policies.networks import ActorCritic, Layout
from policies.ppo import PPO
from policies.skill import Skill, load_skill, robot_of, terms_of
from policies.stacked import FramesActorCritic, stacked
from policies.vec_env import Sb3VecEnv
from robots.joint_space import joint_space
from robots.spec import RobotSpec

REMEDY = "choose a robot whose joints match, or a policy for any joints (sim2real multitask ... --network tokens)"
ORDERED = "sim2real match SOURCE TARGET --write FOLDER writes the target with its joints in the source's order"
WARM_UP_ROLLOUTS = 4
"""In which a critic that does not know the robot learns alone; never more than a quarter of the steps."""
LEARNING_RATE = 3e-4
"""Of an actor that knows something already, unless the hyperparameters say otherwise."""
STD = 0.3
"""Exploration of a skill that comes without: where trainings from scratch of walkers end."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """Weights that a training begins from."""

    name: str
    """How messages call it."""
    skill: Skill
    policy: Tensors | None = None
    """Actor, critic, normalizer and exploration, where a training left them."""

    @staticmethod
    def load(name: str, skill: Path, policy: Path) -> "Start":
        """From the files of a result; `policy` need not exist."""
        weights = checkpoint.load(policy)[0] if policy.is_file() else None
        return Start(name=name, skill=load_skill(skill), policy=weights)

    def knows(self, spec: RobotSpec, task: TaskSpec) -> bool:
        """Whether there is a critic whose values are of this robot and task."""
        card = self.skill.card
        return self.policy is not None and (card.model_hash, card.task) == (spec.model_hash, task.name)


def refuse(start: Start, spec: RobotSpec, task: TaskSpec, *, privileged: bool) -> None:
    """Check that a training of `task` on `spec` can begin from `start`.

    Raises:
        ValueError: it cannot: other joints, other observation terms, a recurrent network; the message names both sides.
    """
    card = start.skill.card
    if card.architecture == "gru":
        raise ValueError(
            f"{start.name} is recurrent (gru, memory {card.memory}), training goes on with networks that keep no state "
            "(mlp, conv): start from its teacher, and distill again"
        )
    reason = joint_mismatch(robots.get(card.robot), spec)
    if reason:
        raise ValueError(f"{start.name}: {reason}")
    source = embodiments.terms(robots.get(card.robot), envs.tasks.get(card.task))
    theirs = _read(source, card.privileged)
    ours = _read(embodiments.terms(spec, task), privileged)
    if theirs != ours:
        raise ValueError(
            f"{start.name} reads {_terms(theirs)}; an actor of {task.name} on {spec.name} would read {_terms(ours)}; "
            + _remedy(card.privileged, privileged)
        )


def _remedy(theirs: bool, ours: bool) -> str:
    if theirs == ours:
        return "name a skill of a task and a robot with the same observations"
    return "add --privileged" if theirs else "leave out --privileged"


def joint_mismatch(source: RobotSpec, target: RobotSpec) -> str:
    """Why a plain network cannot move from one robot to the other; nothing where it can."""
    ours, theirs = joint_space(source), joint_space(target)
    shuffled = sorted(zip(ours.leg, ours.role, strict=True)) == sorted(zip(theirs.leg, theirs.role, strict=True))
    remedy = ORDERED if shuffled else REMEDY
    for what, mine, other in (("legs", ours.leg, theirs.leg), ("roles", ours.role, theirs.role)):
        if mine != other:
            return (
                f"a plain network drives joints by their place, and the {what} of the joints differ: {source.name} has "
                f"{_joints(mine)}, {target.name} has {_joints(other)}; {remedy}"
            )
    return _control_mismatch(source, target)


def moved(path: Path, robot: str) -> Skill:
    """The skill in a file on another robot, as `robots.get` finds that.

    Raises:
        ValueError: a plain network cannot move there; the message says why.
    """
    card = load_skill(path).card
    if reason := joint_mismatch(robot_of(card), robots.get(robot)):
        raise ValueError(reason)
    return load_skill(path, terms_of(robot, card.task))


def _control_mismatch(source: RobotSpec, target: RobotSpec) -> str:
    """A target position says nothing about a torque."""
    ours, theirs = (tuple(joint.actuator.control for joint in spec.joints) for spec in (source, target))
    if ours == theirs:
        return ""
    return (
        f"joints of {source.name} are commanded by {_distinct(ours)}, those of {target.name} by {_distinct(theirs)}; "
        "choose a robot whose joints are commanded alike"
    )


def _distinct(controls: tuple[str, ...]) -> str:
    return " and ".join(dict.fromkeys(controls))


def seen_by(start: Start | None, worlds: Worlds) -> Worlds:
    """The worlds as the learner that begins from `start` sees them."""
    return stacked(worlds, start.skill.card.history if start else 1)


class Continued(PPO):
    """PPO that begins from `start`, in `steps` environment steps all told.

    Raises:
        ValueError: the hyperparameters ask for another network than the one there is.
    """

    def __init__(
        self, env: Sb3VecEnv, start: Start, steps: int, *, hyperparameters: Hyperparameters, **others: Any
    ) -> None:
        card, worlds = start.skill.card, env.env
        _refuse_shape(start, hyperparameters)
        kwargs: dict[str, Any] = {"layout": Layout.of(worlds.terms, privileged=card.privileged)}
        if card.history > 1:
            kwargs["skill"] = start.skill
        policy = FramesActorCritic if card.history > 1 else ActorCritic
        super().__init__(policy, env, hyperparameters=hyperparameters, policy_kwargs=kwargs, **others)
        self.pins = start.policy is None or card.history > 1
        rollouts = WARM_UP_ROLLOUTS * self.n_steps * env.num_envs * self.collective.size
        self.warm_up = 0 if start.knows(worlds.spec, worlds.task) else min(rollouts, steps // 4)
        self._begin_as(start)

    def _begin_as(self, start: Start) -> None:
        if start.policy is not None:
            self.policy.load_state_dict(start.policy)
            return
        skill = start.skill
        skill.lend_statistics(self.policy.normalizer)
        if skill.card.history == 1:
            self.policy.actor.load_state_dict(skill.actor.state_dict())

    def train(self) -> None:
        """As of PPO; the statistics of what a pinned actor reads stay, those of the critic's other channels learn."""
        normalizer, width = self.policy.normalizer, self.policy.layout.actor_width
        mean, std = normalizer.mean[:width].clone(), normalizer.std[:width].clone()
        super().train()
        if self.pins:
            normalizer.mean[:width], normalizer.std[:width] = mean, std


def chosen(name: str, spec: RobotSpec, task: TaskSpec, start: Start | None) -> Hyperparameters:
    """The hyperparameters called `name` for a training that begins from `start`; see `hyperparameters.chosen`."""
    if start is None:
        return hyperparameters.chosen(name, spec, task)
    card = start.skill.card
    known = replace(
        hyperparameters.for_task(spec, task),
        learning_rate=LEARNING_RATE,
        initial_std=STD,
        hidden=card.hidden,
        activation=card.activation,  # type: ignore[arg-type]
    )
    return hyperparameters.chosen(name, spec, task, known)


def _refuse_shape(start: Start, wanted: Hyperparameters) -> None:
    card = start.skill.card
    for what, have, want in (
        ("hidden", card.hidden, wanted.hidden),
        ("activation", card.activation, wanted.activation),
    ):
        if have != want:
            raise ValueError(
                f"{start.name} has {what} {have}, the hyperparameters ask for {want}: leave {what} out, or train from "
                "scratch"
            )


def _read(terms: tuple[Term, ...], privileged: bool) -> list[tuple[str, int]]:
    return [(term.name, term.width) for term in terms if privileged or term.measurable]


def _terms(terms: list[tuple[str, int]]) -> str:
    return f"{sum(width for _, width in terms)} channels ({', '.join(f'{name} {width}' for name, width in terms)})"


def _joints(values: tuple[object, ...]) -> str:
    return f"{len(values)} joints ({', '.join(map(str, values))})"
