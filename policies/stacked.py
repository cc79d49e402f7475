"""Worlds whose observation holds a history of frames, for learners of skills that read one.

A row is the stacked measurable frames, oldest first, then the privileged terms as they are now. The normalizer of such
a policy repeats that of one frame, so it must not learn: only then does the policy fold into a `Skill`.
"""

import copy
from dataclasses import replace
from typing import Any, cast

import torch
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from envs.embodiments.embodiment import Actor
from envs.observations import Term
from envs.state_dicts import Tensors, prefixed, without_prefix
from envs.worlds import Step, Worlds
from policies.evaluation import Evaluation
from policies.networks import ActorCritic
from policies.players import FrameStack
from policies.skill import Skill, skill_of
from policies.training import Training


class StackedWorlds:
    """`worlds` seen through the last `history` frames; all else is as of `worlds`."""

    def __init__(self, worlds: Worlds, history: int) -> None:
        self.worlds, self.history, self.stack = worlds, history, FrameStack(history)
        self.actor_terms: tuple[Term, ...] = worlds.actor_terms * history
        self.privileged_terms: tuple[Term, ...] = worlds.privileged_terms
        self.observation()

    def __getattr__(self, name: str) -> Any:
        if name == "worlds":  # asked for before there is one, as by copy and pickle
            raise AttributeError(name)
        return getattr(self.worlds, name)

    @property
    def terms(self) -> tuple[Term, ...]:
        return self.actor_terms + self.privileged_terms

    @property
    def actor_width(self) -> int:
        """Of all frames together."""
        return self.history * self.worlds.actor_width

    @property
    def width(self) -> int:
        return sum(term.width for term in self.terms)

    def reset(self) -> torch.Tensor:
        self.stack.frames = None
        return self._row(self.worlds.reset())

    def observation(self) -> torch.Tensor:
        """(num_envs, width) of the worlds as they are; the newest frame is read anew."""
        row = self.worlds.observation()
        if self.stack.frames is None:
            return self._row(row)
        self.stack.frames[:, -1] = row[:, : self.worlds.actor_width]
        return torch.cat([self.stack.frames.flatten(1), row[:, self.worlds.actor_width :]], -1)

    def step(self, action: torch.Tensor) -> Step:
        step, before = self.worlds.step(action), self.stack.frames
        assert before is not None
        final = step.final_observation
        if final is not None:
            newest, hidden = final[:, : self.worlds.actor_width], final[:, self.worlds.actor_width :]
            final = torch.cat([torch.cat([before[:, 1:], newest[:, None]], 1).flatten(1), hidden], -1)
        row = self._row(step.observation, step.terminated | step.truncated)
        return step._replace(observation=row, final_observation=final)

    def _row(self, row: torch.Tensor, started: torch.Tensor | None = None) -> torch.Tensor:
        width = self.worlds.actor_width
        return torch.cat([self.stack.push(row[:, :width], started), row[:, width:]], -1)

    def state_dict(self) -> Tensors:
        assert self.stack.frames is not None
        return prefixed("worlds", self.worlds.state_dict()) | {"frames": self.stack.frames.clone()}

    def load_state_dict(self, state: Tensors) -> None:
        self.worlds.load_state_dict(without_prefix("worlds", state))
        self.stack.frames = state["frames"].clone()


def stacked(worlds: Worlds, history: int) -> Worlds:
    """The worlds as a learner sees them that reads `history` frames."""
    return cast(Worlds, StackedWorlds(worlds, history)) if history > 1 else worlds


def one_frame(worlds: Worlds) -> Worlds:
    """The worlds below, whose observation is a single frame."""
    return worlds.worlds if isinstance(worlds, StackedWorlds) else worlds


class StackedActor:
    """An actor over plain rows that hands stacked ones to another; for episodes that all start together."""

    def __init__(self, actor: Actor, history: int, frame_width: int) -> None:
        self.actor, self.stack, self.frame_width = actor, FrameStack(history), frame_width

    def __call__(self, observation: torch.Tensor) -> torch.Tensor:
        frames = self.stack.push(observation[:, : self.frame_width])
        return self.actor(torch.cat([frames, observation[:, self.frame_width :]], -1))


def on_plain_rows(actor: Actor, worlds: Worlds) -> Actor:
    """An actor in `worlds` as one over the rows of the worlds below; see `StackedActor`."""
    below = one_frame(worlds)
    return StackedActor(actor, worlds.history, below.actor_width) if isinstance(worlds, StackedWorlds) else actor


class StackedTraining(Training):
    """A training in `StackedWorlds`, whose evaluations stack frames too."""

    def evaluate(self, actor: Actor, *others: Any) -> Evaluation:
        return super().evaluate(on_plain_rows(actor, self.env.env), *others)


class FramesActor(nn.Module):
    """The network of a skill behind its normalizer, over stacked normalized frames."""

    def __init__(self, skill: Skill) -> None:
        super().__init__()
        self.shape = (skill.card.history, skill.card.frame_width)
        self.actor = skill.actor
        self.encoder = skill.encoder if skill.card.architecture == "conv" else None

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """(n, num_joints) for (n, history·frame_width)."""
        if self.encoder is None:
            return self.actor(frames)
        shaped = frames.unflatten(-1, self.shape)
        return self.actor(torch.cat([shaped[..., -1, :], self.encoder(shaped)], -1))


class FramesActorCritic(ActorCritic):
    """An actor-critic in `StackedWorlds` whose actor is the network of a skill."""

    def __init__(self, *spaces: Any, skill: Skill, **others: Any) -> None:
        self.card = skill.card
        self._given = [copy.deepcopy(skill).requires_grad_(True)]  # torch takes no module before its own __init__
        super().__init__(*spaces, **others)

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        self.actor = FramesActor(self._given.pop())  # type: ignore[assignment]
        self.optimizer = torch.optim.Adam(self.actor_parameters, lr=lr_schedule(1.0))


def trained_skill(policy: ActorCritic, worlds: Worlds, *, robot: str, env_steps: int) -> Skill:
    """The acting half of a trained actor-critic, whether it reads one frame or a history; see `skill_of`."""
    if not isinstance(policy, FramesActorCritic):
        return skill_of(policy, worlds, robot=robot, env_steps=env_steps)
    assert isinstance(policy.actor, FramesActor)
    card = replace(
        policy.card,
        robot=robot,
        model_hash=worlds.spec.model_hash,
        task=worlds.task.name,
        randomization=worlds.randomization,
        env_steps=env_steps,
    )
    skill = Skill.blank(card, one_frame(worlds).terms)
    skill.actor.load_state_dict(policy.actor.actor.state_dict())
    if policy.actor.encoder is not None:
        skill.encoder.load_state_dict(policy.actor.encoder.state_dict())
    skill.normalizer.mean.copy_(policy.normalizer.mean[: card.frame_width])
    skill.normalizer.std.copy_(policy.normalizer.std[: card.frame_width])
    return skill
