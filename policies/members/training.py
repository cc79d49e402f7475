"""A training run of several members that may be killed, with a learning curve for each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch

from envs.embodiments.embodiment import Actor
from envs.randomization import Randomization
from policies import training
from policies.evaluation import Evaluation, evaluate
from policies.members.common_row import CommonRow
from policies.members.learner import MemberPolicy
from policies.members.worlds import MemberWorlds
from policies.training import CurvePoint, Training


@dataclass
class MemberTraining(Training):
    """`Training` whose points are means over the members; `curve_of` tells them apart."""

    @property
    def worlds(self) -> MemberWorlds:
        """What all members do."""
        return cast(MemberWorlds, self.env.env)

    @property
    def policy(self) -> MemberPolicy:
        """Of all members."""
        return cast(MemberPolicy, self.ppo.policy)

    @property
    def about(self) -> dict[str, Any]:
        """What a checkpoint of this run is about."""
        members = self.worlds.members
        return {
            "members": [member.name for member in members],
            "model_hashes": [member.spec.model_hash for member in members],
        } | self.sizes

    def evaluate(
        self, actor: Actor, randomization: Randomization | None = None, episodes: int | None = None
    ) -> Evaluation:
        """Any actor of common rows over the short episodes of every member; their scores one member after another."""
        own = [
            evaluate(
                member.spec,
                member.task,
                self.on_member(actor, index),
                episodes=episodes or training.CURVE_EPISODES,
                seconds=training.CURVE_SECONDS,
                randomization=randomization,
                num_threads=self.num_threads,
            )
            for index, member in enumerate(self.worlds.members)
        ]
        return pooled(own)

    def on_member(self, actor: Actor, index: int) -> Actor:
        """An actor of common rows, for the raw observations of a member's own robot."""
        return on_common_rows(actor, self.worlds.row, index, self.worlds.members[index].spec.num_joints)

    def curve_of(self, member: int) -> list[CurvePoint]:
        """The learning curve of one member, over the steps of all."""
        points = []
        for point in self.curve:
            count = len(point.episode_scores) // len(self.worlds.members)
            scores = point.episode_scores[member * count : (member + 1) * count]
            points.append(
                CurvePoint(
                    env_steps=point.env_steps,
                    seconds=point.seconds,
                    score=float(np.mean(scores)),
                    episode_scores=scores,
                )
            )
        return points


def on_common_rows(
    actor: Actor, row: CommonRow, member: int, num_joints: int
) -> Callable[[torch.Tensor], torch.Tensor]:
    """An actor of common rows, for the raw observations of a member with so many joints."""
    return lambda observation: actor(row.lift(member, observation))[:, :num_joints]


def pooled(own: list[Evaluation]) -> Evaluation:
    """What a learning curve keeps of several evaluations: the mean of their scores, and all episodes."""
    return replace(
        own[0],
        score=float(np.mean([evaluation.score for evaluation in own])),
        episode_scores=tuple(score for evaluation in own for score in evaluation.episode_scores),
    )
