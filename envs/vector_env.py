"""Many worlds of one robot and one task, stepped together as torch tensors.

Observation: one flat row, the measurable terms first, the privileged ones behind them (`VectorEnv.terms`). Everything
random comes from one owned generator; `state_dict` holds all that the next step depends on, so that a restored
environment continues bit for bit.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import mujoco
import torch

from envs.actions import ACTION_CLIP, ACTION_SCALE, joint_targets
from envs.commands import GAIT_FREQUENCY, advance_phase, clock, is_standing
from envs.observations import Term, actor_observation, actor_terms, privileged_terms, projected_gravity
from envs.physics.cpu import CpuPhysics
from envs.randomization import PARAMETERS, Randomization, Randomizer, delay_samples
from envs.start_states import settled_rows
from envs.task import TaskSpec, World
from robots.joint_space import joint_space
from robots.model import build_model, foot_geom_ids, has_free_base, joint_dof_indices, joint_qpos_indices
from robots.spec import RobotSpec

CONTACT_CLEARANCE = 0.008
"""A foot lower than this, in units of L, counts as touching the ground."""


class Step(NamedTuple):
    """What one control step returns; observations of ended worlds are those of their next episode."""

    observation: torch.Tensor
    """(num_envs, width) raw SI, float32."""
    reward: torch.Tensor
    """(num_envs,)."""
    terminated: torch.Tensor
    """(num_envs,) bool: fell, or diverged."""
    truncated: torch.Tensor
    """(num_envs,) bool: time is up."""
    final_observation: torch.Tensor | None
    """(num_envs, width) before resets, or None where no world ended."""
    world: World
    """Ground truth before resets."""


@dataclass
class _Episode:
    """Tensors that change every step and are neither physics nor parameters."""

    steps: torch.Tensor
    phase: torch.Tensor
    command: torch.Tensor
    action: torch.Tensor
    previous_target: torch.Tensor
    gyro_bias: torch.Tensor
    encoder_bias: torch.Tensor


class VectorEnv:
    """`num_envs` worlds of `task` on `spec`.

    Args:
        spec, task: What moves, and what it must do.
        num_envs: Number of worlds.
        randomization: Ranges of hidden parameters, sampled anew at each reset.
        seed: Of the environment's generator.
        num_threads: Physics threads; 0 takes every core. Results do not depend on it.
        scoring: Draw commands from the score's ranges and keep them for the whole episode.
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
    ) -> None:
        self.spec, self.task, self.num_envs, self.randomization = spec, task, num_envs, randomization
        self.space = joint_space(spec)
        self.dt = 1.0 / spec.control_hz
        self.episode_steps = round((task.episode_seconds if scoring else task.training_seconds) * spec.control_hz)
        self.scoring = scoring
        self.generator = torch.Generator().manual_seed(seed)
        model = build_model(spec, delay_samples=delay_samples(randomization, spec))
        if not spec.feet or not has_free_base(model, spec):
            raise ValueError(f"task {task.name!r} is for robots that stand on feet; {spec.name} is of kind {spec.kind}")
        self.physics = CpuPhysics(model, num_envs, num_threads)
        self.randomizer = Randomizer(randomization, self.physics, spec, self.space)
        self._index(model)
        self._constants()
        self.start_rows = settled_rows(model, spec, self.generator)
        self.reset()

    def _index(self, model: mujoco.MjModel) -> None:
        self._qpos_index = torch.from_numpy(joint_qpos_indices(model, self.spec))
        self._dof_index = torch.from_numpy(joint_dof_indices(model, self.spec))
        self._feet = torch.from_numpy(foot_geom_ids(model, self.spec))
        self._foot_radius = torch.tensor([foot.radius for foot in self.spec.feet])
        self._geom_xpos, self._torque = self.physics.output("geom_xpos"), self.physics.output("actuator_force")

    def _constants(self) -> None:
        spec, space, task = self.spec, self.space, self.task
        unit = torch.tensor([space.speed, space.speed, 1.0 / space.time])
        self.command_high = unit * torch.tensor(task.score_command_high if self.scoring else task.command_high)
        self.action_map = {
            "default_position": torch.tensor(spec.default_positions),
            "action_scale": ACTION_SCALE * torch.tensor(space.sign),
            "lift": torch.tensor(space.lift),
            "leg_sign": torch.tensor(space.leg_sign),
            "low": torch.tensor([joint.position_limits[0] for joint in spec.joints]),
            "high": torch.tensor([joint.position_limits[1] for joint in spec.joints]),
        }
        self.actor_terms: tuple[Term, ...] = actor_terms(space, spec.default_positions)
        self.privileged_terms: tuple[Term, ...] = privileged_terms(space, len(spec.feet), len(PARAMETERS))

    @property
    def terms(self) -> tuple[Term, ...]:
        return self.actor_terms + self.privileged_terms

    @property
    def actor_width(self) -> int:
        """Leading channels of an observation that hardware can measure."""
        return sum(term.width for term in self.actor_terms)

    @property
    def width(self) -> int:
        return sum(term.width for term in self.terms)

    def reset(self) -> torch.Tensor:
        """Start every world anew with fresh parameters and commands; returns observations."""
        n, joints = self.num_envs, self.spec.num_joints
        self.episode = _Episode(
            steps=torch.zeros(n, dtype=torch.long),
            phase=torch.zeros(n, 1),
            command=torch.zeros(n, 3),
            action=torch.zeros(n, joints),
            previous_target=torch.zeros(n, joints),
            gyro_bias=torch.zeros(n, 3),
            encoder_bias=torch.zeros(n, joints),
        )
        self._restart(torch.arange(n))
        if not self.scoring:  # spread the ends of the first episodes
            self.episode.steps = torch.randint(self.episode_steps, (n,), generator=self.generator)
        return self.observe(self.world(torch.zeros(n, joints)))

    def step(self, action: torch.Tensor) -> Step:
        """Advance one control period under `action`, (num_envs, num_joints), dimensionless."""
        episode = self.episode
        previous_action, episode.action = episode.action, action.clamp(-ACTION_CLIP, ACTION_CLIP)
        episode.previous_target = joint_targets(torch, action, self._clock(), **self.action_map)
        self.physics.ctrl[:] = episode.previous_target
        diverged = self.physics.step(self.spec.substeps)
        episode.steps += 1
        episode.phase = advance_phase(episode.phase, frequency_hz=GAIT_FREQUENCY / self.space.time, dt=self.dt)
        self._disturb()
        world = self.world(previous_action)
        fallen = self.task.fallen(world, self.space, self.spec.default_height) | diverged
        reward = self.task.reward(world, self.space, self.dt).nan_to_num(0.0) + self.task.fall_reward * fallen
        truncated = (episode.steps >= self.episode_steps) & ~fallen
        final = self._restart_ended(fallen | truncated, world)
        after = world if final is None else self.world(previous_action)
        return Step(self.observe(after), reward, fallen, truncated, final, world)

    def world(self, previous_action: torch.Tensor) -> World:
        """Ground truth as it is now."""
        orientation = self.physics.qpos[:, 3:7].float()
        velocity, spin = self.physics.qvel[:, 0:3].float(), self.physics.qvel[:, 3:6].float()
        return World(
            velocity=_to_yaw_frame(orientation, velocity),
            base_velocity=_to_base_frame(orientation, velocity),
            gyro=spin,
            gravity=projected_gravity(torch, orientation),
            height=self.physics.qpos[:, 2].float(),
            foot_heights=self._geom_xpos[:, self._feet, 2].float() - self._foot_radius,
            joint_vel=self.physics.qvel[:, self._dof_index].float(),
            torque=self._torque.float(),
            action=self.episode.action,
            previous_action=previous_action,
            command=self.episode.command,
        )

    def observe(self, world: World) -> torch.Tensor:
        """(num_envs, width): noisy sensors, then ground truth that only critics and teachers may see."""
        measured, true = self._measure(world), world
        contacts = (true.foot_heights < CONTACT_CLEARANCE * self.space.length).float()
        hidden = [true.base_velocity, true.height[:, None], true.foot_heights, contacts, self.randomizer.hidden]
        return torch.cat([measured, *hidden], -1)

    def _measure(self, world: World) -> torch.Tensor:
        episode, imu, encoders = self.episode, self.spec.imu, self.spec.encoders
        joint_pos = self.physics.qpos[:, self._qpos_index].float()
        return actor_observation(
            torch,
            gravity=world.gravity + self._noise(world.gravity, imu.gravity_noise),
            gyro=world.gyro + episode.gyro_bias + self._noise(world.gyro, imu.gyro_noise),
            command=episode.command,
            joint_pos=joint_pos + episode.encoder_bias + self._noise(joint_pos, encoders.position_noise),
            joint_vel=world.joint_vel + self._noise(world.joint_vel, encoders.velocity_noise),
            previous_target=episode.previous_target,
            clock=self._clock(),
        )

    def _noise(self, like: torch.Tensor, deviation: float) -> torch.Tensor:
        return torch.randn(like.shape, generator=self.generator) * (deviation * self.randomization.noise)

    def _clock(self) -> torch.Tensor:
        standing = is_standing(self.episode.command, speed=self.space.speed, time=self.space.time)
        return clock(torch, self.episode.phase, standing)

    def _disturb(self) -> None:
        """New commands and pushes at random moments, in training only."""
        if self.scoring:
            return
        self._resample_commands(self._happens(self.task.resample_seconds))
        pushed = self._happens(self.randomization.push_seconds)
        if len(pushed) and self.randomization.push_speed > 0.0:
            speed = self.randomization.push_speed * self.space.speed
            self.physics.qvel[pushed, 0:2] += self._uniform(len(pushed), 2) * speed

    def _happens(self, mean_seconds: float) -> torch.Tensor:
        chance = self.dt / mean_seconds
        return (torch.rand(self.num_envs, generator=self.generator) < chance).nonzero()[:, 0]

    def _uniform(self, *shape: int) -> torch.Tensor:
        return 2.0 * torch.rand(*shape, generator=self.generator) - 1.0

    def _resample_commands(self, worlds: torch.Tensor) -> None:
        moving = torch.rand(len(worlds), 1, generator=self.generator) >= self.task.standing_fraction
        self.episode.command[worlds] = self._uniform(len(worlds), 3) * self.command_high * moving

    def _restart_ended(self, ended: torch.Tensor, world: World) -> torch.Tensor | None:
        if not ended.any():
            return None
        final, episode = self.observe(world), self.episode
        episode.command, episode.action = episode.command.clone(), episode.action.clone()  # `world` keeps the old ones
        self._restart(ended.nonzero()[:, 0])
        return final

    def _restart(self, worlds: torch.Tensor) -> None:
        """Begin new episodes in `worlds`, (n,): start state, hidden parameters, biases, command."""
        episode, n, noise = self.episode, len(worlds), self.randomization.noise
        chosen = torch.randint(len(self.start_rows), (n,), generator=self.generator)
        self.physics.restore(worlds, self.start_rows[chosen])
        self.randomizer.resample(worlds, self.generator)
        episode.steps[worlds] = 0
        episode.phase[worlds] = math.pi * (1.0 + self._uniform(n, 1))
        episode.action[worlds] = 0.0
        episode.previous_target[worlds] = self.action_map["default_position"]
        episode.gyro_bias[worlds] = self._uniform(n, 3) * (self.spec.imu.gyro_bias * noise)
        episode.encoder_bias[worlds] = self._uniform(n, self.spec.num_joints) * (
            self.spec.encoders.position_bias * noise
        )
        self._resample_commands(worlds)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that the next step depends on."""
        state = {f"episode.{name}": value.clone() for name, value in vars(self.episode).items()}
        state |= {"physics.state": self.physics.state.clone(), "randomization.values": self.randomizer.values.clone()}
        return state | {"start_rows": self.start_rows.clone(), "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Continue where `state_dict` was taken."""
        self.episode = _Episode(**{name: state[f"episode.{name}"].clone() for name in vars(self.episode)})
        self.start_rows = state["start_rows"].clone()
        self.randomizer.apply(torch.arange(self.num_envs), state["randomization.values"])
        self.physics.restore(torch.arange(self.num_envs), state["physics.state"])
        self.generator.set_state(state["generator"])


def _to_yaw_frame(orientation: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """World vectors, (n, 3), in the frame that shares the base's heading and keeps z up."""
    w, x, y, z = orientation.unbind(-1)
    sine, cosine = 2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)
    norm = torch.sqrt(sine * sine + cosine * cosine).clamp(min=1e-9)
    sine, cosine = sine / norm, cosine / norm
    vx, vy, vz = vector.unbind(-1)
    return torch.stack([cosine * vx + sine * vy, cosine * vy - sine * vx, vz], -1)


def _to_base_frame(orientation: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """World vectors, (n, 3), in the base frame."""
    w, axis = orientation[:, 0:1], -orientation[:, 1:4]
    twice = 2.0 * torch.cross(axis, vector, dim=-1)
    return vector + w * twice + torch.cross(axis, twice, dim=-1)
