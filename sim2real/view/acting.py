"""Worlds of a task in which a policy acts: a trained skill, or one that does nothing. SI."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from envs import embodiments
from envs.make import make_worlds
from envs.randomization import Randomization
from envs.task import TaskSpec
from policies.players import Player
from policies.skill import Skill
from robots.joint_space import joint_space
from robots.model import default_data
from robots.spec import RobotSpec
from sim2real.view.simulation import Knob, State, Values

VELOCITY = ("forward [m/s]", "left [m/s]", "turn left [rad/s]")
"""Knobs of a task that is commanded by velocity."""
BEGIN = 0.5
"""Share of the fastest forward command with which the show begins."""
Policy = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]
"""Observations, (n, width), and where episodes have just begun, (n,), to actions, (n, num_joints)."""


class ActingRobots:
    """See `sim2real.view.simulation.Simulation`.

    Args:
        spec, task: What moves, and in which worlds.
        skill: What acts; None for the task's no-op.
        num_worlds: Robots side by side.
        randomization: Of the hidden parameters, drawn anew whenever a world starts.

    Raises:
        ValueError: the robot cannot do the task.
    """

    def __init__(
        self, spec: RobotSpec, task: TaskSpec, skill: Skill | None, num_worlds: int, randomization: Randomization
    ) -> None:
        worlds: Any = make_worlds(spec, task, num_envs=num_worlds, randomization=randomization, scoring=True)
        self.worlds = worlds
        self.spec, self.model, self.num_worlds = spec, worlds.physics.model, num_worlds
        self.ground = embodiments.get(task.embodiment).ground(spec, task)
        self.title = f"{spec.name}: {task.title}"
        self.dt = 1.0 / spec.control_hz
        self.knobs = _velocity_knobs(spec, task)
        self.velocity = np.zeros((num_worlds, 3))
        """(num_worlds, 3) of the bases in the last step, as commanded: forward, left [m/s], turn [rad/s]."""
        self._policy = _policy_of(skill) if skill else _no_op(spec, task)
        self._observation: torch.Tensor = worlds.observation()
        self._started: torch.Tensor | None = None

    def reset(self) -> None:
        everyone = torch.ones(self.num_worlds, dtype=torch.bool)
        self._observation, self._started = self.worlds.reset(), everyone

    @torch.no_grad()
    def step(self, values: Values) -> NDArray[np.bool_]:
        if self.knobs:  # a command is kept, so only a fall ends an episode
            self.worlds.episode.command[:] = torch.tensor([values[label] for label in VELOCITY])
            self.worlds.episode.steps[:] = 0
        step = self.worlds.step(self._policy(self._observation, self._started))
        started = step.terminated | step.truncated
        self._observation, self._started = step.observation, started
        if self.knobs:
            self.velocity = torch.cat([step.world.velocity[:, :2], step.world.gyro[:, 2:]], -1).double().numpy()
        return started.numpy()

    def state(self) -> State:
        physics = self.worlds.physics
        rows = {name: getattr(physics, name).double().cpu().numpy().copy() for name in ("qpos", "qvel", "ctrl")}
        return State(**rows, goals=self._goals())

    def _goals(self) -> NDArray[np.float64] | None:
        """Commands of arms are points in the frame of their base, which stands still."""
        if self.worlds.task.embodiment != "arm":
            return None
        data = default_data(self.model)
        base = data.body(self.spec.base_body)
        return self.worlds.episode.command.double().cpu().numpy() @ base.xmat.reshape(3, 3).T + base.xpos


def _policy_of(skill: Skill) -> Policy:
    return Player(skill)


def _no_op(spec: RobotSpec, task: TaskSpec) -> Policy:
    act = embodiments.get(task.embodiment).no_op(spec, task)
    return lambda observation, started: act(observation)


def _velocity_knobs(spec: RobotSpec, task: TaskSpec) -> tuple[Knob, ...]:
    """One for each component of the command, over the range that was trained; none if velocity is not the task."""
    if not any(task.command_high):
        return ()
    space = joint_space(spec)
    high = np.array((space.speed, space.speed, 1.0 / space.time)) * task.command_high
    values = (BEGIN * high[0], 0.0, 0.0)
    return tuple(
        Knob(label=label, low=-top, high=top, value=value)
        for label, top, value in zip(VELOCITY, high.tolist(), values, strict=True)
    )
