"""Reinforcement learning for a student: PPO goes on where its teacher's labels ended.

The learner's observation row is the worlds' own, for an asymmetric critic that sees everything, and behind it what the
student decides on: its frames, and its recurrent state as an input like any other. The critic begins from nothing, so
it learns alone at first; in the body of another robot it begins with what the teacher's knew of its own.
"""

from dataclasses import replace
from typing import Any

import torch
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from envs.embodiments.embodiment import Actor
from envs.state_dicts import Tensors, prefixed, without_prefix
from envs.worlds import Step, Worlds
from policies.collective import ALONE, Collective
from policies.evaluation import Evaluation
from policies.hyperparameters import Hyperparameters
from policies.networks import ActorCritic, Layout
from policies.normalizer import Normalizer
from policies.players import Player
from policies.ppo import PPO
from policies.skill import Skill
from policies.starting import WARM_UP_ROLLOUTS
from policies.training import Training
from policies.vec_env import Sb3VecEnv

WARM_UP = 0.15
"""Share of the steps in which only the critic learns."""
HYPERPARAMETERS = Hyperparameters(learning_rate=1e-4, target_divergence=0.01, initial_std=0.2)
"""Small steps, little exploration: the student walks already."""
ABROAD = replace(HYPERPARAMETERS, learning_rate=3e-4, target_divergence=0.03, initial_std=0.3)
"""Of a student whose teacher learned on another robot: what is best here, the teacher did not know."""


class StudentWorlds:
    """`worlds` as a student perceives them: rows of what they give, then its frames and its state.

    Everything else is as of the worlds, hence no subclass of their protocol.

    The student is asked for its next state with the weights that it has at that step.
    """

    def __init__(self, worlds: Worlds, student: Skill) -> None:
        self.worlds, self.student, self.player = worlds, student, Player(student)
        self.seen = self._seen(worlds.observation(), None)

    def __getattr__(self, name: str) -> Any:
        if name == "worlds":  # asked for before there is one, as by copy and pickle
            raise AttributeError(name)
        return getattr(self.worlds, name)

    @property
    def width(self) -> int:
        """Channels of a row."""
        return self.worlds.width + self.seen.shape[1]

    def reset(self) -> torch.Tensor:
        row, self.player = self.worlds.reset(), Player(self.student)
        self.seen = self._seen(row, None)
        return torch.cat([row, self.seen], -1)

    def observation(self) -> torch.Tensor:
        """(num_envs, width) of the worlds as they are, and what the student saw last."""
        return torch.cat([self.worlds.observation(), self.seen], -1)

    @torch.no_grad()
    def step(self, action: torch.Tensor) -> Step:
        if self.student.card.memory:
            self.player.state = self.student.decide(*split(self.student, self.seen))[2]
        step, final = self.worlds.step(action), None
        if step.final_observation is not None:  # only a critic reads it
            final = torch.cat([step.final_observation, self.seen], -1)
        self.seen = self._seen(step.observation, step.terminated | step.truncated)
        return step._replace(observation=torch.cat([step.observation, self.seen], -1), final_observation=final)

    def _seen(self, row: torch.Tensor, started: torch.Tensor | None) -> torch.Tensor:
        frames, state = self.player.perceive(row, started)
        return frames if state is None else torch.cat([frames, state], -1)

    def state_dict(self) -> Tensors:
        state = prefixed("worlds", self.worlds.state_dict()) | prefixed("player", self.player.state_dict())
        return state | {"seen": self.seen.clone()}

    def load_state_dict(self, state: Tensors) -> None:
        self.worlds.load_state_dict(without_prefix("worlds", state))
        self.player.load_state_dict(without_prefix("player", state))
        self.seen = state["seen"].clone()


def split(student: Skill, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Frames and state, None without one, of what a student decides on."""
    width = student.card.history * student.card.frame_width
    return seen[:, :width], seen[:, width:] if student.card.memory else None


class RowNormalizer(Normalizer):
    """Normalizes the leading channels, which a critic reads; the student has a normalizer of its own."""

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        width = len(self.mean)
        return torch.cat([super().forward(observation[..., :width]), observation[..., width:]], -1)

    def update(
        self, observation: torch.Tensor, collective: Collective = ALONE, valid: torch.Tensor | None = None
    ) -> None:
        super().update(observation[..., : len(self.mean)], collective, valid)


class StudentActorCritic(ActorCritic):
    """A student as the actor in `StudentWorlds`, beside a critic that reads all of a plain row."""

    def __init__(self, *spaces: Any, student: Skill, **others: Any) -> None:
        self._given = [student]  # torch takes no module before its own __init__
        super().__init__(*spaces, **others)

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        self.normalizer = RowNormalizer(torch.tensor(self.layout.offset), torch.tensor(self.layout.scale))
        self.actor: nn.Module = self._given.pop()  # type: ignore[assignment]
        self.optimizer = torch.optim.Adam(self.actor_parameters, lr=lr_schedule(1.0))

    @property
    def student(self) -> Skill:
        assert isinstance(self.actor, Skill)
        return self.actor

    def action_mean(self, normalized: torch.Tensor) -> torch.Tensor:
        return self.student.decide(*split(self.student, normalized[:, len(self.layout.scale) :]))[0]

    def value(self, normalized: torch.Tensor) -> torch.Tensor:
        return super().value(normalized[:, : len(self.layout.scale)])


class StudentPPO(PPO):
    """PPO from a student that acts already; trains it in place.

    Args:
        student: The actor.
        env: Of `StudentWorlds` around it.
        budget: Environment steps in all.
        seed: Of the owned generator.
        hyperparameters: Those of the critic's network too.
        values: Critic and statistics, of plain rows of such worlds, to begin with.
    """

    def __init__(
        self,
        student: Skill,
        env: Sb3VecEnv,
        budget: int,
        seed: int = 0,
        hyperparameters: Hyperparameters = HYPERPARAMETERS,
        values: Tensors | None = None,
    ) -> None:
        layout = Layout.of(env.env.terms, privileged=True)
        kwargs = {"layout": layout, "student": student}
        super().__init__(StudentActorCritic, env, hyperparameters=hyperparameters, seed=seed, policy_kwargs=kwargs)
        self.warm_up = WARM_UP * budget
        if values:
            self.policy.critic.load_state_dict(without_prefix("critic", values))
            self.policy.normalizer.load_state_dict(without_prefix("normalizer", values))
            self.warm_up = min(WARM_UP_ROLLOUTS * self.n_steps * env.num_envs, self.warm_up)


class FineTuning(Training):
    """A run of `StudentPPO`, whose evaluations let the student remember."""

    @property
    def student(self) -> Skill:
        assert isinstance(self.ppo.policy, StudentActorCritic)
        return self.ppo.policy.student

    def evaluate(self, actor: Actor, *others: Any) -> Evaluation:
        return super().evaluate(self.student.player(), *others)


def fine_tuning(
    student: Skill,
    env: Worlds,
    steps: int,
    *,
    seed: int = 0,
    hyperparameters: Hyperparameters = HYPERPARAMETERS,
    values: Tensors | None = None,
    **others: Any,
) -> FineTuning:
    """A run that trains `student` in place for `steps` environment steps of `env`.

    Arguments are those of `StudentPPO`, `others` those of `Training`.
    """
    worlds: Any = StudentWorlds(env, student)
    ppo = StudentPPO(student, Sb3VecEnv(worlds), steps, seed, hyperparameters, values)
    return FineTuning(ppo, steps, **others)
