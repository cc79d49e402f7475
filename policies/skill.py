"""A skill: the half of any trained policy that acts, whatever trained it, in one file.

`Skill` maps raw SI observation frames (history oldest first) to dimensionless actions. Its weights know nothing of the
robot's units; `load_skill` with another robot's terms moves them there.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import envs.tasks
import robots
from envs import embodiments
from envs.observations import Term
from envs.randomization import Randomization
from envs.worlds import Worlds
from policies.architecture import Architecture
from policies.files import checkpoint
from policies.networks import ActorCritic
from policies.normalizer import Normalizer
from policies.perceptron import Perceptron
from policies.players import Player
from policies.students.encoders import ConvEncoder, GruEncoder
from robots.records import decode
from robots.spec import RobotSpec


@dataclass(frozen=True, kw_only=True)
class SkillCard:
    """What a skill is, beside its weights."""

    robot: str
    """What `robots.get` finds it by: a zoo name, `menagerie:NAME`, a folder."""
    model_hash: str
    """Of that robot when the skill was trained."""
    task: str
    privileged: bool
    """Whether it reads what hardware cannot measure."""
    history: int
    """Frames it reads, oldest first."""
    frame_width: int
    """Leading channels of an observation row that make a frame."""
    hidden: tuple[int, ...]
    num_joints: int
    randomization: Randomization = field(default_factory=Randomization)
    """What it was trained under."""
    env_steps: int = 0
    """Environment steps it took to learn, its teachers' not counted."""
    architecture: Architecture = "mlp"
    """See `policies.architecture`."""
    memory: int = 0
    """Width of the recurrent state; 0 for none."""
    latent: int = 0
    """Width of what the encoder gives the actor; 0 for no encoder."""
    activation: str = "elu"

    def __post_init__(self) -> None:
        if self.architecture == "gru" and (self.history != 1 or self.memory < 1):
            raise ValueError(
                f"a gru reads one frame and keeps a state: history must be 1 and memory >= 1, got {self.history} and "
                f"{self.memory}"
            )
        if self.architecture != "gru" and self.memory != 0:
            raise ValueError(
                f"memory must be 0 for architecture {self.architecture!r}, got {self.memory}; a gru has one"
            )
        if (self.architecture == "mlp") != (self.latent == 0):
            raise ValueError(
                f"latent must be 0 for an mlp, which has no encoder, and >= 1 otherwise, got {self.latent} for "
                f"{self.architecture!r}"
            )


class Skill(nn.Module):
    """A perceptron between observation frames and actions, behind an encoder of the past if it has one."""

    encoder: ConvEncoder | GruEncoder

    def __init__(self, card: SkillCard, terms: tuple[Term, ...]) -> None:
        """Fresh weights over the leading `card.frame_width` channels of `terms`."""
        super().__init__()
        self.card = card
        offset = torch.tensor([value for term in terms for value in term.offset][: card.frame_width])
        scale = torch.tensor([value for term in terms for value in term.scale][: card.frame_width])
        self.normalizer = Normalizer(offset, scale)
        inputs = card.frame_width * (card.history if card.architecture == "mlp" else 1) + card.latent
        self.actor = Perceptron([inputs, *card.hidden, card.num_joints], card.activation)
        if card.architecture == "conv":
            self.encoder = ConvEncoder(card.history, card.frame_width, card.latent, card.activation)
        elif card.architecture == "gru":
            self.encoder = GruEncoder(card.frame_width, card.memory, card.latent)

    @staticmethod
    def blank(card: SkillCard, terms: tuple[Term, ...]) -> "Skill":
        """A skill whose weights are about to be overwritten: torch.nn's draws for them leave no trace."""
        with torch.random.fork_rng(devices=[]):
            return Skill(card, terms)

    def lend_statistics(self, normalizer: Normalizer) -> None:
        """Give its mean and deviation to the leading channels of `normalizer`, which are all its frames."""
        width = self.card.history * self.card.frame_width
        normalizer.mean[:width] = self.normalizer.mean.repeat(self.card.history)
        normalizer.std[:width] = self.normalizer.std.repeat(self.card.history)

    def forward(
        self, frames: torch.Tensor, state: torch.Tensor | None = None
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Actions, (n, num_joints), for raw frames, (n, history·frame_width).

        A gru takes a state too, (n, memory), zeros if left out, and gives (actions, next state).
        """
        action, _, following = self.decide(frames, state)
        return action if following is None else (action, following)

    def decide(
        self, frames: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Actions, latents, (n, latent), and next states, (n, memory), of `forward`; None for what there is not."""
        normalized = self.normalizer(frames.unflatten(-1, (self.card.history, self.card.frame_width)))
        newest = normalized[..., -1, :]
        if self.card.architecture == "mlp":
            return self.actor(normalized.flatten(-2)), None, None
        following = None
        if isinstance(self.encoder, ConvEncoder):
            latent = self.encoder(normalized)
        else:
            latent, following = self.encoder(newest, self.blank_state(len(frames)) if state is None else state)
        return self.actor(torch.cat([newest, latent], -1)), latent, following

    def unroll(
        self, frames: torch.Tensor, state: torch.Tensor, started: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Actions and latents of a gru over sequences, (num_steps, n, ...); arguments as of `GruEncoder.unroll`."""
        assert isinstance(self.encoder, GruEncoder)
        normalized = self.normalizer(frames)
        latents, _ = self.encoder.unroll(normalized, state, started)
        return self.actor(torch.cat([normalized, latents], -1)), latents

    def blank_state(self, num_worlds: int) -> torch.Tensor:
        """(num_worlds, memory): what a recurrent skill remembers when an episode starts."""
        return torch.zeros(num_worlds, self.card.memory)

    def player(self) -> Player:
        """An actor for observation rows that remembers by itself; for episodes that all start together."""
        return Player(self)

    @property
    def num_parameters(self) -> int:
        """Of all layers; the normalizer's statistics not counted."""
        return sum(parameter.numel() for parameter in self.parameters())

    def export_weights(self) -> dict[str, NDArray[np.float32]]:
        """Weights by the names that bundles use."""
        linear = [layer for layer in self.actor if isinstance(layer, nn.Linear)]
        weights = {"normalizer.mean": self.normalizer.mean, "normalizer.std": self.normalizer.std}
        for index, layer in enumerate(linear):
            weights |= {f"actor.{index}.weight": layer.weight, f"actor.{index}.bias": layer.bias}
        weights |= {name: value for name, value in self.state_dict().items() if name.startswith("encoder.")}
        return {name: value.detach().numpy().astype(np.float32) for name, value in weights.items()}

    def save(self, path: Path) -> None:
        """Write the skill by rename."""
        checkpoint.save(path, dict(self.state_dict()), {"card": asdict(self.card)})


def load_skill(path: Path, terms: tuple[Term, ...] | None = None) -> Skill:
    """Read a skill; with `terms` it is put on the robot those belong to, else on the one it was trained on.

    Raises:
        FileNotFoundError: the folder holds no skill.
        ValueError: damaged, or `terms` do not fit the skill.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path.parent} holds no {path.name}; name a result of train, distill or transfer, or a member; "
            "a policy for any joints (multitask --network tokens) is put on a robot by sim2real fold"
        )
    tensors, record = checkpoint.load(path)
    card = decode(SkillCard, record["card"], where=str(path))
    terms = terms or terms_of(card.robot, card.task)
    width = sum(term.width for term in terms if card.privileged or term.measurable)
    if width != card.frame_width:
        raise ValueError(
            f"{path}: the skill reads {card.frame_width} channels a frame, these terms have {width}; name a robot "
            f"and a task with the observations of {card.task} on {card.robot}, or train again if those have changed"
        )
    skill = Skill.blank(card, terms)
    try:
        skill.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{path}: its weights do not fit its card ({error})") from error
    return skill


def robot_of(card: SkillCard) -> RobotSpec:
    """The robot that a skill was trained on.

    Raises:
        ValueError: the robot of that name is not the same any more.
    """
    spec = robots.get(card.robot)
    if spec.model_hash != card.model_hash:
        raise ValueError(
            f"robot {card.robot!r} has changed since this skill was trained on it; "
            "train again, or transfer the skill to it"
        )
    return spec


def terms_of(robot: str, task: str) -> tuple[Term, ...]:
    """Observation terms of a task on a robot, measurable ones first."""
    return embodiments.terms(robots.get(robot), envs.tasks.get(task))


def skill_of(policy: ActorCritic, env: Worlds, *, robot: str, env_steps: int) -> Skill:
    """The acting half of a trained actor-critic.

    Args:
        policy: Trained on `env`.
        env: Whose observation terms the skill reads.
        robot: What `robots.get` finds the robot by.
        env_steps: It took to learn.
    """
    width = policy.layout.actor_width
    card = SkillCard(
        robot=robot,
        model_hash=env.spec.model_hash,
        task=env.task.name,
        privileged=width > env.actor_width,
        history=1,
        frame_width=width,
        hidden=policy.hidden,
        activation=policy.activation,
        num_joints=env.spec.num_joints,
        randomization=env.randomization,
        env_steps=env_steps,
    )
    return acting_half(policy, card, env.terms)


def acting_half(policy: ActorCritic, card: SkillCard, terms: tuple[Term, ...]) -> Skill:
    """The skill that `card` describes, with the actor and the statistics of an actor-critic on the robot of `terms`."""
    skill, width = Skill.blank(card, terms), policy.layout.actor_width
    skill.actor.load_state_dict(policy.actor.state_dict())
    skill.normalizer.mean.copy_(policy.normalizer.mean[:width])
    skill.normalizer.std.copy_(policy.normalizer.std[:width])
    skill.normalizer.count.copy_(policy.normalizer.count)
    return skill
