"""Several robots stepped together: one engine for all bodies of a topology, the topologies side by side.

Each member is an ordinary `VectorEnv` over its own worlds, with its own units, terms and generator; bodies of the same
topology share one batch, whose per-world model fields make every world its own body. A member therefore does exactly
what it would do alone.
"""

from collections.abc import Sequence
from typing import Any

import mujoco
import torch

from envs.physics.interface import Physics
from envs.physics.make import make_physics
from envs.physics.slice import PhysicsSlice
from envs.randomization import Randomization
from envs.state_dicts import prefixed, without_prefix
from envs.task import TaskSpec
from envs.vector_env import VectorEnv, model_of
from envs.worlds import Step
from robots.spec import RobotSpec
from robots.topology import differing_fields, field_value, topology


class RobotGroup:
    """`num_envs` worlds of each of `specs`, all doing `task`.

    Args:
        specs: The robots; bodies of one topology and physics step share an engine.
        task: What all of them must do.
        num_envs: Worlds of each robot.
        randomization: Ranges of hidden parameters.
        seed: Of the first member's generator; the next ones count on.
        num_threads: Physics threads of each engine; 0 takes every core.
        scoring, device: As for `VectorEnv`.

    Raises:
        ValueError: no robots, or one of them cannot do the task.
    """

    def __init__(
        self,
        specs: Sequence[RobotSpec],
        task: TaskSpec,
        *,
        num_envs: int,
        randomization: Randomization,
        seed: int = 0,
        num_threads: int = 0,
        scoring: bool = False,
        device: str = "cpu",
    ) -> None:
        if not specs:
            raise ValueError("a group needs at least one robot, got none")
        models = [model_of(spec, task, randomization) for spec in specs]
        kinds = [(topology(model), spec.substeps) for model, spec in zip(models, specs, strict=True)]
        self.engines: list[tuple[Physics, int, list[int]]] = []
        """Each engine with its substeps and its members."""
        worlds: dict[int, PhysicsSlice] = {}
        for kind in dict.fromkeys(kinds):
            members = [index for index, other in enumerate(kinds) if other == kind]
            worlds_in_all = num_envs * len(members)
            engine = make_physics(models[members[0]], worlds_in_all, device=device, num_threads=num_threads)
            embody(engine, [models[index] for index in members], num_envs)
            self.engines.append((engine, kind[1], members))
            for place, index in enumerate(members):
                worlds[index] = PhysicsSlice(engine, models[index], place * num_envs, num_envs)
        self.members = tuple(
            VectorEnv(
                spec,
                task,
                num_envs=num_envs,
                randomization=randomization,
                seed=seed + index,
                scoring=scoring,
                physics=worlds[index],
            )
            for index, spec in enumerate(specs)
        )

    def reset(self) -> list[torch.Tensor]:
        """Start every world anew; observations of each member."""
        return [member.reset() for member in self.members]

    def step(self, actions: Sequence[torch.Tensor]) -> list[Step]:
        """Advance every world one control period of its robot.

        Args:
            actions: (num_envs, num_joints) for each member.
        """
        if len(actions) != len(self.members):
            raise ValueError(f"step needs an action for each of {len(self.members)} robots, got {len(actions)}")
        before = [member.begin_step(action) for member, action in zip(self.members, actions, strict=True)]
        steps: list[Step | None] = [None] * len(self.members)
        for engine, substeps, members in self.engines:
            diverged = engine.step(substeps)
            for lost, index in zip(diverged.chunk(len(members)), members, strict=True):
                steps[index] = self.members[index].finish_step(before[index], lost)
        return [step for step in steps if step is not None]

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that the next step depends on."""
        state: dict[str, torch.Tensor] = {}
        for index, member in enumerate(self.members):
            state |= prefixed(str(index), member.state_dict())
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        for index, member in enumerate(self.members):
            member.load_state_dict(without_prefix(str(index), state))


def embody(engine: Physics, models: list[mujoco.MjModel], num_envs: int) -> None:
    """Give each run of `num_envs` worlds the fields of its own model, derived constants included."""
    for name in differing_fields(models):
        field = engine.model_field(name)
        for place, model in enumerate(models):
            own = field[place * num_envs : (place + 1) * num_envs]
            own[:] = torch.as_tensor(field_value(model, name), dtype=field.dtype, device=field.device)
