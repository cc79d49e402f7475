"""A training run whose members' bodies vary as a curriculum says."""

import time
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch

from envs import embodiments
from envs.embodiments.embodiment import Actor
from envs.state_dicts import Tensors
from policies import training
from policies.evaluation import evaluate
from policies.members.training import MemberTraining
from policies.tokens import generalist
from policies.tokens.body import Body
from policies.tokens.curriculum import BodyCurriculum
from policies.tokens.policy import TokenPolicy
from policies.tokens.worlds import BodyWorlds
from robots import families
from robots.spec import RobotSpec

LEAST_SECONDS = 4.0
"""That a member keeps a body for [s of its life]: a few strides, and ends of episodes among them."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A body that a member was given, scored before the policy learned from it."""

    env_steps: int
    member: str
    robot: str
    radius: float
    """Parameters lie within exp(±radius) of the member's own."""
    score: float


class VariedTraining(MemberTraining):
    """`MemberTraining` in which one member after another gets a new body.

    Args:
        curriculum: Which bodies; members that it does not name keep theirs.
        args, kwargs: As of `MemberTraining`.
    """

    def __init__(self, curriculum: BodyCurriculum, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.curriculum = curriculum
        self.trials: list[Trial] = []
        for body in curriculum.reach():  # from the beginning, so that what is told of a body never shifts
            own = self._body(families.build(body))
            self.tokens.actor.range.include(own)
            self.tokens.critic.range.include(own)

    @property
    def bodies(self) -> BodyWorlds:
        """What all members do."""
        return cast(BodyWorlds, self.worlds)

    @property
    def tokens(self) -> TokenPolicy:
        """Of all bodies."""
        return cast(TokenPolicy, self.ppo.policy)

    @property
    def interval(self) -> float:
        """Share of the budget between two new bodies, whoever gets them."""
        steps = LEAST_SECONDS / self.worlds.worlds[0].dt * self.worlds.num_envs / len(self.curriculum.own)
        return max(training.TRIAL_SHARE, steps / self.steps)

    @property
    def about(self) -> dict[str, Any]:
        """What a checkpoint of this run is about."""
        return super().about | {"vary": self.curriculum.vary}

    def follow_schedule(self) -> None:
        """Give the next member a new body, if it is time."""
        progress = self.ppo.num_timesteps / self.steps
        if not self.tried + self.interval <= progress < 1.0:
            return
        self.tried, started = progress, time.perf_counter()
        member, body = self.curriculum.draw()
        spec, changed = families.build(body), body != self.curriculum.now[member]
        self._try(member, spec)
        self.curriculum.judge(member, body, self.trials[-1].score)
        if changed:
            self._embody(member, spec, int(self.curriculum.generator.integers(2**31)))
            self._begin(member)
        self.seconds += time.perf_counter() - started

    def _try(self, member: int, spec: RobotSpec) -> None:
        measured = evaluate(
            spec,
            self.worlds.members[member].task,
            self._player(spec),
            episodes=training.TRIAL_EPISODES,
            seconds=training.CURVE_SECONDS,
            num_threads=self.num_threads,
        )
        radius = self.curriculum.vary * self.curriculum.widths[member]
        self.trials.append(
            Trial(
                env_steps=self.ppo.num_timesteps,
                member=self.worlds.members[member].name,
                robot=spec.name,
                radius=radius,
                score=measured.score,
            )
        )

    def _player(self, spec: RobotSpec) -> Actor:
        """The policy as it is, for the raw observations of a robot that may not be a member."""
        self.ppo.settle()
        own = generalist.folded(self.tokens, self._body(spec), self._terms(spec), 1.0)
        return lambda observation: own._predict(observation, deterministic=True)

    def on_member(self, actor: Actor, index: int) -> Actor:
        """Members are scored on their own robots, whatever bodies they have now."""
        return self._player(self.worlds.members[index].spec)

    def _terms(self, spec: RobotSpec) -> Any:
        return embodiments.terms(spec, self.worlds.members[0].task)

    def _body(self, spec: RobotSpec) -> Body:
        return Body.of(spec, self._terms(spec))

    def _embody(self, member: int, spec: RobotSpec, seed: int) -> None:
        self.ppo.settle()  # the critic may still be learning from the body before
        self.bodies.embody(member, spec, seed)
        self.tokens.normalizer.embody(self.bodies.row.bodies)

    def _begin(self, member: int) -> None:
        """Let the next rollout begin in the new worlds of a member."""
        rows = self.bodies.rows(member)
        self.ppo._last_obs = torch.as_tensor(self.ppo._last_obs).clone()
        self.ppo._last_obs[rows] = self.bodies.row.lift(member, self.bodies.worlds[member].reset())
        self.ppo.episodes.forget(rows)

    def home(self) -> None:
        """Give every member its own body back."""
        for member in self.curriculum.own:
            self._embody(member, self.worlds.members[member].spec, self.curriculum.seed)

    def _record(self) -> dict[str, Any]:
        own = {"bodies": self.curriculum.state_dict(), "trials": [asdict(trial) for trial in self.trials]}
        return super()._record() | own

    def _restore_run(self, tensors: Tensors, record: dict[str, Any]) -> None:
        self.curriculum.load_state_dict(record["bodies"])
        self.trials = [Trial(**trial) for trial in record["trials"]]
        for member, body in self.curriculum.now.items():
            self._embody(member, families.build(body), 0)  # whose state is read next
        super()._restore_run(tensors, record)
