"""A student in the worlds of a teacher: what it perceives, who leads, and what a rollout teaches."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from envs.state_dicts import Tensors, prefixed, without_prefix
from envs.worlds import Worlds
from policies.players import Player
from policies.skill import Skill


class Batch(NamedTuple):
    """What a rollout taught; all but `state` begin with (num_steps, num_worlds)."""

    frames: torch.Tensor
    """(..., history·frame_width) of the student, in the units of its own robot."""
    started: torch.Tensor
    """(...) bool, True where an episode has just begun."""
    actions: torch.Tensor
    """(..., num_joints) that the teachers would take."""
    latents: torch.Tensor
    """(..., latent) that the encoder should give; of width 0 where there is none."""
    weight: torch.Tensor
    """(...) of each sample: teachers whose actions vary more do not count for more."""
    state: torch.Tensor
    """(num_worlds, memory) of the student before the first step."""

    def each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        """`change` of all but `state`."""
        values = {name: change(getattr(self, name)) for name in self._fields if name != "state"}
        return Batch(**values, state=self.state)

    @staticmethod
    def beside(batches: Sequence["Batch"]) -> "Batch":
        """Worlds of equally long batches side by side."""
        values = {
            name: torch.cat([getattr(batch, name) for batch in batches], 0 if name == "state" else 1)
            for name in Batch._fields
        }
        return Batch(**values)


class Lesson:
    """A teacher and its worlds, in which a student practises.

    Attributes:
        expert, player: Teacher and student at work, with what they remember.
        observation: (num_envs, width) that they decide on next.
        started: (num_envs,) bool, True where an episode has just begun.
        led: (num_envs, 1), 1.0 where the teacher acts.
    """

    def __init__(self, teacher: Skill, env: Worlds) -> None:
        self.teacher, self.env, self.expert = teacher, env, Player(teacher)
        self.observation = env.observation()
        self.started = torch.zeros(env.num_envs, dtype=torch.bool)
        self.led = torch.zeros(env.num_envs, 1)

    def enter(self, student: Skill) -> None:
        """Let `student` practise here."""
        self.player, normalizer, width = Player(student), student.normalizer, student.card.frame_width
        offset = torch.tensor([value for term in self.env.terms for value in term.offset][:width])
        scale = torch.tensor([value for term in self.env.terms for value in term.scale][:width])
        self.factor = scale / normalizer.scale
        self.shift = normalizer.offset - offset * self.factor
        self.same_units = torch.equal(offset, normalizer.offset) and torch.equal(scale, normalizer.scale)

    def perceive(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What the student decides on, as if the robot had the units of its own."""
        frame = self.observation[:, : self.player.skill.card.frame_width]
        return self.player.perceive(frame if self.same_units else frame * self.factor + self.shift, self.started)

    def appoint(self, worlds: torch.Tensor, share: float, generator: torch.Generator) -> None:
        """Draw in which of `worlds`, (num_envs,) bool, the teacher leads: in about `share` of them."""
        drawn = torch.rand(self.env.num_envs, 1, generator=generator) < share
        self.led[worlds] = drawn[worlds].float()

    def step(self, theirs: torch.Tensor, own: torch.Tensor) -> None:
        """Advance a control period under the actions, (num_envs, num_joints), of the teacher where it leads."""
        taken = self.env.step(self.led * theirs + (1.0 - self.led) * own)
        self.observation, self.started = taken.observation, taken.terminated | taken.truncated

    def state_dict(self) -> Tensors:
        """All that further practice depends on."""
        tensors = {"observation": self.observation, "started": self.started, "led": self.led}
        for name, part in (("env", self.env), ("expert", self.expert), ("player", self.player)):
            tensors |= prefixed(name, part.state_dict())
        return tensors

    def load_state_dict(self, tensors: Tensors) -> None:
        """Continue where `state_dict` was taken."""
        self.observation, self.started, self.led = tensors["observation"], tensors["started"], tensors["led"]
        self.env.load_state_dict(without_prefix("env", tensors))
        self.expert.load_state_dict(without_prefix("expert", tensors))
        self.player.load_state_dict(without_prefix("player", tensors))
