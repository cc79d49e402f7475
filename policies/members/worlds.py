"""Worlds of several members stepped together: different tasks on one robot, one task on several robots, or both.

Each member is an ordinary `Worlds` with its own physics, units and generator and does exactly what it would do alone.
What is common is the row that a policy reads (`common_row`) and the size of the rewards (`return_scale`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

import envs.tasks
import robots
from envs.make import make_worlds
from envs.randomization import Randomization
from envs.state_dicts import prefixed, without_prefix
from envs.task import TaskSpec
from envs.worlds import Worlds
from policies.members import names
from policies.members.common_row import CommonRow
from policies.members.return_scale import ReturnScale
from policies.starting import joint_mismatch
from robots.spec import RobotSpec


@dataclass(frozen=True)
class Member:
    """A task on a robot."""

    robot: str
    """What `robots.get` finds the robot by."""
    spec: RobotSpec
    task: TaskSpec

    @staticmethod
    def named(name: str) -> "Member":
        """The member called ROBOT:TASK.

        Raises:
            ValueError: it is no ROBOT:TASK.
            LookupError: there is no such robot or task.
        """
        robot, task = names.parts(name)
        return Member(robot, robots.get(robot), envs.tasks.get(task))

    @property
    def name(self) -> str:
        """`go1:velocity`, whatever the robot was found by."""
        return f"{self.spec.name}:{self.task.name}"


def refuse_different_joints(members: Sequence[Member]) -> None:
    """Check that one plain network can drive all members.

    Raises:
        ValueError: it cannot; the message says why.
    """
    refuse_repeated(members, least=2)
    for member in members[1:]:
        reason = joint_mismatch(members[0].spec, member.spec)
        if reason:
            raise ValueError(reason)


def refuse_repeated(members: Sequence[Member], *, least: int) -> None:
    """Check that there are members enough, none of them twice.

    Raises:
        ValueError: there are not.
    """
    given = [member.name for member in members]
    if len(members) < least or len(set(given)) < len(given):
        count = {1: "one or more", 2: "two or more"}[least]
        raise ValueError(f"members must be {count} different ROBOT:TASK, got {', '.join(given) or 'none'}")


class MemberStep(NamedTuple):
    """What one control step returns, as of `envs.worlds.Step`; worlds of the first member first."""

    observation: torch.Tensor
    """(num_envs, width) common rows."""
    reward: torch.Tensor
    """(num_envs,) by the size of its member's returns."""
    terminated: torch.Tensor
    truncated: torch.Tensor
    final_observation: torch.Tensor | None


class MemberWorlds:
    """`num_envs` worlds of each member.

    Args:
        members: Tasks on robots whose joints match one by one.
        num_envs: Worlds of each member: equal numbers give members equal shares of every update.
        randomization: Ranges of hidden parameters.
        seed: Of the first member's generator; the next ones count on.
        num_threads: Physics threads; 0 takes every core.
        gamma: Discount a control step, of the returns that rewards are scaled by.

    Raises:
        ValueError: fewer than two members, a member twice, or joints that do not match.
    """

    def __init__(
        self,
        members: Sequence[Member],
        *,
        num_envs: int,
        randomization: Randomization,
        seed: int = 0,
        num_threads: int = 0,
        gamma: float = 0.97,
    ) -> None:
        self.refuse(members)
        self.members = tuple(members)
        self.spec = max((member.spec for member in members), key=lambda spec: spec.num_joints)
        """Of the widest actions."""
        self._each: dict[str, Any] = {
            "num_envs": num_envs,
            "randomization": randomization,
            "num_threads": num_threads,
        }
        self.worlds: tuple[Worlds, ...] = tuple(
            self.made(member.spec, member.task, seed + index) for index, member in enumerate(members)
        )
        self.row = self.common_row()
        self.width, self.num_envs = self.row.width, num_envs * len(members)
        self.scale = ReturnScale(len(members), num_envs, gamma)

    refuse = staticmethod(refuse_different_joints)

    def made(self, spec: RobotSpec, task: TaskSpec, seed: int) -> Worlds:
        """Worlds as each member has them."""
        return make_worlds(spec, task, seed=seed, **self._each)

    def common_row(self) -> CommonRow:
        """What a policy reads of every member."""
        return CommonRow([worlds.terms for worlds in self.worlds])

    @property
    def diverged(self) -> torch.Tensor:
        """(num_envs,) times a world left the finite numbers and was started anew."""
        return torch.cat([worlds.diverged for worlds in self.worlds])

    def reset(self) -> torch.Tensor:
        """Start every world anew; common rows, (num_envs, width)."""
        self.scale.returns.zero_()
        return torch.cat([self.row.lift(index, worlds.reset()) for index, worlds in enumerate(self.worlds)])

    def step(self, action: torch.Tensor) -> MemberStep:
        """Advance every world one control period of its robot under `action`, (num_envs, most joints of any)."""
        chunks = action.chunk(len(self.worlds))
        steps = [worlds.step(own[:, : worlds.spec.num_joints]) for worlds, own in zip(self.worlds, chunks, strict=True)]
        terminated = torch.stack([step.terminated for step in steps])
        truncated = torch.stack([step.truncated for step in steps])
        reward = self.scale(torch.stack([step.reward for step in steps]), terminated | truncated)
        final = None
        if any(step.final_observation is not None for step in steps):
            rows = [step.observation if step.final_observation is None else step.final_observation for step in steps]
            final = self._lifted(rows)
        observation = self._lifted([step.observation for step in steps])
        return MemberStep(observation, reward.flatten().float(), terminated.flatten(), truncated.flatten(), final)

    def _lifted(self, rows: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat([self.row.lift(index, row) for index, row in enumerate(rows)])

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that the next step depends on."""
        state = prefixed("scale", self.scale.state_dict())
        for index, worlds in enumerate(self.worlds):
            state |= prefixed(str(index), worlds.state_dict())
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.scale.load_state_dict(without_prefix("scale", state))
        for index, worlds in enumerate(self.worlds):
            worlds.load_state_dict(without_prefix(str(index), state))
