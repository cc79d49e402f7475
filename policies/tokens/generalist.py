"""A trained policy over joints, and the ordinary policy that it is on any one robot.

`tokens.safetensors` holds both networks, the statistics of what is observed and the range of bodies seen in training.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

import envs.tasks
import robots
from envs import embodiments
from envs.observations import Term
from envs.randomization import Randomization
from envs.state_dicts import Tensors
from envs.task import TaskSpec
from envs.vector_env import refuse as refuse_task
from policies.files import checkpoint
from policies.networks import ActorCritic, Layout, blank
from policies.skill import Skill, SkillCard, acting_half, terms_of
from policies.tokens.body import Body
from policies.tokens.policy import TokenPolicy
from policies.tokens.row import BodyRow
from robots.descriptors import ROLES
from robots.records import decode
from robots.spec import RobotSpec

KIND = "tokens"


@dataclass(frozen=True, kw_only=True)
class GeneralistCard:
    """What a policy over joints is, beside its weights."""

    members: tuple[str, ...]
    """Robots it was trained on, as `robots.get` finds them."""
    model_hashes: tuple[str, ...] = ()
    """Of those robots."""
    task: str
    privileged: bool
    """Whether its actor reads what hardware cannot measure."""
    hidden: tuple[int, ...]
    activation: str
    randomization: Randomization = field(default_factory=Randomization)
    """What it was trained under."""
    env_steps: int = 0
    """Environment steps it took to learn, all bodies together."""
    return_size: float = 1.0
    """Mean of what the members' rewards were divided by."""
    terms: tuple[str, ...]
    """Names of the observation terms it was trained with, measurable ones first."""


@dataclass(frozen=True, kw_only=True)
class Generalist:
    """A policy for any body."""

    card: GeneralistCard
    weights: Tensors
    """Of a `TokenPolicy`."""

    @torch.no_grad()
    def policy_on(self, spec: RobotSpec, task: TaskSpec | None = None) -> ActorCritic:
        """The ordinary actor-critic, in the robot's units, that this is on a robot.

        Args:
            spec: The robot.
            task: That it was trained for, if left out.

        Raises:
            ValueError: it cannot drive this robot, or knows another task; the message says why.
        """
        task = task or envs.tasks.get(self.card.task)
        self.refuse(spec, task)
        terms = embodiments.terms(spec, task)
        body = Body.of(spec, terms)
        return folded(self._on(body, terms), body, terms, self.card.return_size)

    def skill_on(self, robot: str) -> Skill:
        """The acting half of `policy_on`, on the robot that `robots.get` finds by this name."""
        return self.skill_of(self.policy_on(robots.get(robot)), robot)

    def skill_of(self, policy: ActorCritic, robot: str) -> Skill:
        """The acting half of what `policy_on` gave of that robot."""
        card, spec = self.card, robots.get(robot)
        own = SkillCard(
            robot=robot,
            model_hash=spec.model_hash,
            task=card.task,
            privileged=card.privileged,
            history=1,
            frame_width=policy.layout.actor_width,
            hidden=policy.hidden,
            activation=policy.activation,
            num_joints=spec.num_joints,
            randomization=card.randomization,
            env_steps=card.env_steps,
        )
        return acting_half(policy, own, terms_of(robot, card.task))

    def refuse(self, spec: RobotSpec, task: TaskSpec) -> None:
        """Check that this policy can drive `spec`.

        Raises:
            ValueError: it cannot; the message says why.
        """
        if task.name != self.card.task:
            raise ValueError(f"this policy knows {self.card.task!r}, got {task.name!r}; train it for that task")
        terms = embodiments.terms(spec, task)
        body, mine = Body.of(spec, terms), self._roles()
        theirs = {ROLES[role] for role in body.role.tolist()}
        if not mine & theirs:
            raise ValueError(
                f"this policy knows joints that {_or(mine)}, {spec.name} has only joints that {_or(theirs)}: they have "
                "no role in common; train on a robot of that kind"
            )
        refuse_task(spec, task)
        names = tuple(term.name for term in terms)
        if names != self.card.terms:
            raise ValueError(
                f"this policy reads {', '.join(self.card.terms)}; {task.name} on {spec.name} tells "
                f"{', '.join(names)}: train it on robots with the same sensors"
            )

    def _roles(self) -> set[str]:
        return {role for role, known in zip(ROLES, self.weights["actor.range.known"].tolist(), strict=True) if known}

    def _on(self, body: Body, terms: tuple[Term, ...]) -> TokenPolicy:
        """The policy with one member, `body`."""
        row, card = BodyRow([body], [terms]), self.card
        shape = card.hidden, card.activation
        policy = blank(TokenPolicy, row.width, body.num_joints, *shape, row=row, privileged=card.privileged)
        try:
            policy.load_state_dict(self.weights)
        except RuntimeError as error:
            raise ValueError(f"its weights are not those that this version makes ({error}); train it again") from error
        return policy

    def save(self, path: Path) -> None:
        """Write the file by rename."""
        checkpoint.save(path, self.weights, {"kind": KIND, "card": asdict(self.card)})


def load_generalist(path: Path) -> Generalist:
    """Read a policy over joints.

    Raises:
        FileNotFoundError: there is none.
        ValueError: damaged, of an unknown schema, or something else.
    """
    weights, record = checkpoint.load(path)
    if record.get("kind") != KIND:
        raise ValueError(f"{path} must hold a policy over joints, got a file of kind {record.get('kind')!r}")
    return Generalist(card=decode(GeneralistCard, record["card"], where=str(path)), weights=weights)


@torch.no_grad()
def folded(policy: TokenPolicy, body: Body, terms: tuple[Term, ...], return_size: float) -> ActorCritic:
    """The ordinary actor-critic that `policy` is on a body; it learned from rewards divided by `return_size`."""
    layout = Layout.of(terms, privileged=policy.privileged)
    made = policy.actor.folded([body])[0], policy.critic.folded([body])[0]
    hidden = tuple(len(bias) for bias in made[0][1:-2:2])
    own = blank(ActorCritic, body.width, body.num_joints, hidden, policy.activation, layout=layout)
    mean, std = policy.normalizer.of(body)
    own.normalizer.mean.copy_(mean)
    own.normalizer.std.copy_(std)
    own.normalizer.count.copy_(policy.normalizer.frames)
    own.log_std.copy_(policy.log_std[body.role])
    for net, values in zip((own.actor, own.critic), made, strict=True):
        for parameter, value in zip(net.parameters(), values, strict=True):
            parameter.zero_()[tuple(map(slice, value.shape))] = value  # units that only the actor has stay silent
    for parameter in list(own.critic.parameters())[-2:]:
        parameter.mul_(return_size)
    return own


def _or(roles: set[str]) -> str:
    words = {"abduct": "abduct a leg", "swing": "swing one", "extend": "extend one", "other": "do something else"}
    return " or ".join(words[role] for role in ROLES if role in roles)
