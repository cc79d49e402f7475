"""Worlds of a Gymnasium MuJoCo id for training, randomization and transfer, as `envs.worlds.Worlds`.

The observation, the reward and the end of an episode are the id's own; behind the observation come the hidden
parameters of randomization, for critics and teachers. An action is a share, −1..1, of each control's range. Sensor
noise does not apply: an id's observation is no sensor's reading.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from envs.embodiments import gymnasium as embodiment
from envs.gymnasium_native.engine import Result, make_engine
from envs.gymnasium_native.ids import find
from envs.gymnasium_native.robot import describe, id_of
from envs.observations import Term, hidden_term
from envs.randomization import Disturbances, Randomization, Randomizer, hidden_width, preset
from envs.state_dicts import prefixed, without_prefix
from envs.task import TaskSpec, World
from envs.worlds import Step, Worlds, finite_where
from robots.joint_space import joint_space
from robots.model import measured_dof_indices, measured_qpos_indices
from robots.spec import RobotSpec

EPISODE_STEPS = 1000
"""Of an id without a time limit of its own."""


@dataclass(frozen=True, kw_only=True)
class GymnasiumWorld(World):
    """Ground truth of an id's worlds."""

    reward: torch.Tensor
    """(n,) the id's."""
    score: torch.Tensor
    """(n,) reward over what a tick of an episode at the id's `reward_threshold` earns; the bare reward without one."""


class GymnasiumWorlds(Worlds):
    """`num_envs` worlds of the id behind `spec`; see `envs.worlds.Worlds`.

    Args:
        spec: `robots.get("gymnasium:ID")`.
        task: `envs.tasks.get("gymnasium")`.
        num_envs: Number of worlds; world i starts as Gymnasium's environment of `seed` + i does.
        randomization: Ranges of hidden parameters, sampled anew at each reset.
        seed: Of start states, and of the generator of all else.
        num_threads: Physics threads; 0 takes every core. Results do not depend on it.
        scoring: All episodes begin at once and nothing pushes.
        device: "cpu"; ids run nowhere else.

    Raises:
        ValueError: `spec` is not what its id says, a control has no range, or the device is another.
    """

    def __init__(
        self,
        spec: RobotSpec,
        task: TaskSpec,
        *,
        num_envs: int,
        randomization: Randomization,
        seed: int = 0,
        num_threads: int = 0,
        scoring: bool = False,
        device: str = "cpu",
    ) -> None:
        if device != "cpu":
            raise ValueError(f"device must be 'cpu' for Gymnasium ids, got {device!r}")
        registered = find(id_of(spec) or spec.name)
        _refuse_changed(spec, describe(registered))
        self.spec, self.task, self.num_envs, self.randomization = spec, task, num_envs, randomization
        self.space, self.scoring, self.dt = joint_space(spec), scoring, 1.0 / spec.control_hz
        self.device = torch.device(device)
        self.generator = torch.Generator().manual_seed(seed)
        fixed = randomization == preset("none")
        self.engine = make_engine(registered, num_envs=num_envs, num_threads=num_threads, fixed=fixed)
        self.engine.seed(seed)
        self.physics = self.engine.physics
        self.randomizer = Randomizer(randomization, self.physics, spec, self.space)
        self.disturbances = Disturbances(randomization, self.randomizer, self.space, self.dt)
        self.episode_steps = registered.spec.max_episode_steps or EPISODE_STEPS
        self.diverged = torch.zeros(num_envs, dtype=torch.long)
        threshold = registered.spec.reward_threshold
        self.score_unit = threshold / self.episode_steps if threshold and threshold > 0.0 else 1.0
        self.actor_terms: tuple[Term, ...] = embodiment.id_terms(registered.single)
        self.privileged_terms: tuple[Term, ...] = hidden_term(hidden_width(spec))
        self._map_controls(registered.single.action_space)
        self.reset()

    def _map_controls(self, space: Any) -> None:
        if not (np.isfinite(space.high - space.low) & (space.high > space.low)).all():
            raise ValueError(
                f"{self.spec.name}: an action is a share of a control's range, so every actuator needs ctrlrange=; "
                f"got {space.low.tolist()}..{space.high.tolist()}"
            )
        self._middle, self._half = (space.high + space.low) / 2, (space.high - space.low) / 2
        self._torque_limit = torch.tensor([joint.actuator.torque_limit for joint in self.spec.joints])
        self._qpos_index = torch.from_numpy(measured_qpos_indices(self.physics.model, self.spec))
        self._dof_index = torch.from_numpy(measured_dof_indices(self.physics.model, self.spec))

    def reset(self) -> torch.Tensor:
        """Start every world anew with fresh parameters; returns observations, (num_envs, width)."""
        self._action = torch.zeros(self.num_envs, self.spec.num_joints)
        self._last = torch.empty(self.num_envs, self.width)
        self._restart(torch.arange(self.num_envs))
        self.start_rows = self.physics.save(torch.arange(1))
        """(1, num_state) the state in which the first world began."""
        if not self.scoring:  # spread the ends of the first episodes
            steps = torch.randint(self.episode_steps, (self.num_envs,), generator=self.generator)
            self.engine.elapsed[:] = steps.numpy()
        return self._last.clone()

    def step(self, action: torch.Tensor) -> Step:
        """Advance one control period under `action`, (num_envs, num_joints), dimensionless."""
        previous_action, self._action = self._action, action.clamp(-1.0, 1.0)
        if not self.scoring:
            self.disturbances.act(self.generator)
        result = self.engine.step(self._middle + self._half * self._action.numpy())
        self.diverged += torch.from_numpy(self.engine.lost)
        world, terminated = self._world(previous_action, result), torch.from_numpy(result.terminated)
        late = result.truncated | (self.engine.elapsed >= self.episode_steps)
        truncated = torch.from_numpy(late) & ~terminated
        self._last = torch.cat([torch.from_numpy(result.observation).float(), self.randomizer.hidden], -1)
        ended, final = terminated | truncated, None
        if ended.any():
            final = self._last.clone()
            self._action = self._action.clone()  # `world` keeps the old one
            self._restart(ended.nonzero()[:, 0])
        return Step(self._last.clone(), world.reward, terminated, truncated, final, world)

    def _restart(self, worlds: torch.Tensor) -> None:
        """Begin new episodes in `worlds`, (n,): hidden parameters, start state."""
        self.randomizer.resample(worlds, self.generator)
        self._last[worlds, : self.actor_width] = torch.from_numpy(self.engine.restart(worlds.numpy())).float()
        self._last[worlds, self.actor_width :] = self.randomizer.hidden[worlds]
        self._action[worlds] = 0.0
        self.disturbances.restart(worlds)

    def _world(self, previous_action: torch.Tensor, result: Result) -> GymnasiumWorld:
        reward = finite_where(torch.from_numpy(self.engine.lost), torch.from_numpy(result.reward).float())
        return GymnasiumWorld(
            joint_pos=self.physics.qpos[:, self._qpos_index].float(),
            joint_vel=self.physics.qvel[:, self._dof_index].float(),
            torque=self._action * self._torque_limit,
            action=self._action,
            previous_action=previous_action,
            command=torch.zeros(self.num_envs, 0),
            reward=reward,
            score=reward / self.score_unit,
        )

    def observation(self) -> torch.Tensor:
        """(num_envs, width) of the worlds as they are."""
        return self._last.clone()

    def begin_as(self, other: Worlds, like: torch.Tensor) -> None:
        """Begin in every world the episode that world `like` of `other`, (num_envs,), is in; keep its parameters."""
        state = other.state_dict()
        for part in ("disturbances", "engine"):
            own = without_prefix(part, state)
            self._parts()[part].load_state_dict({name: value[like] for name, value in own.items()})
        self._action = state["action"][like]
        self._last[:, : self.actor_width] = state["last"][like, : self.actor_width]
        self._last[:, self.actor_width :] = self.randomizer.hidden

    def _parts(self) -> dict[str, Any]:
        return {"engine": self.engine, "randomizer": self.randomizer, "disturbances": self.disturbances}

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that the next step depends on."""
        state = {"action": self._action.clone(), "last": self._last.clone(), "generator": self.generator.get_state()}
        state["diverged"] = self.diverged.clone()
        for part, holder in self._parts().items():
            state |= prefixed(part, {name: value.clone() for name, value in holder.state_dict().items()})
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        for part in ("randomizer", "disturbances", "engine"):  # the engine's derived fields follow from the parameters
            self._parts()[part].load_state_dict(without_prefix(part, state))
        self._action, self._last = state["action"].clone(), state["last"].clone()
        self.diverged = state["diverged"].clone()
        self.generator.set_state(state["generator"])


def _refuse_changed(spec: RobotSpec, described: RobotSpec) -> None:
    """Worlds of an id run its own file: a specification that says otherwise would be ignored."""
    if replace(spec, sources={}) != replace(described, sources={}):
        raise ValueError(
            f"{spec.name} must be what robots.get({described.name!r}) gives, since an id runs its own file; for "
            "another machine register a variant: gymnasium.register(..., kwargs={'xml_file': ...})"
        )
