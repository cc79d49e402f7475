"""Robots that stand on feet: commanded velocities, a gait clock, joint targets with an open-loop foot lift."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from envs.actions import ACTION_SCALE, joint_targets
from envs.commands import GAIT_FREQUENCY, advance_phase, clock, is_standing
from envs.embodiments.embodiment import Actor, Episode, Setting, snapshot
from envs.frames import to_base_frame, to_yaw_frame
from envs.observations import Term, actor_observation, actor_terms, privileged_terms, projected_gravity
from envs.task import TaskSpec, World
from envs.terrain import KINDS, Terrain
from robots.joint_space import JointSpace, joint_space
from robots.model import foot_geom_ids, joint_dof_indices, joint_qpos_indices
from robots.spec import RobotSpec

CONTACT_CLEARANCE = 0.008
"""A foot lower than this, in units of L, counts as touching the ground."""


@dataclass(frozen=True, kw_only=True)
class LeggedWorld(World):
    """Ground truth of a walker."""

    orientation: torch.Tensor
    """(n, 4) base to world, (w, x, y, z)."""
    world_velocity: torch.Tensor
    """(n, 3) of the base, in the world [m/s]."""
    base_velocity: torch.Tensor
    """(n, 3) of the base, in its own frame [m/s]."""
    gyro: torch.Tensor
    """(n, 3) in the base frame [rad/s]."""
    gravity: torch.Tensor
    """(n, 3) direction of gravity in the base frame."""
    height: torch.Tensor
    """(n,) of the base above the ground [m]."""
    foot_heights: torch.Tensor
    """(n, num_feet) clearance of the soles [m]."""
    phase: torch.Tensor
    """(n, 1) of the gait [rad]."""

    @cached_property
    def velocity(self) -> torch.Tensor:
        """(n, 3) of the base, in its yaw frame (z up) [m/s]; worked out when asked for: no observation holds it."""
        return to_yaw_frame(self.orientation, self.world_velocity)


@dataclass
class LeggedEpisode(Episode):
    """Of a walker."""

    phase: torch.Tensor
    """(n, 1) of the gait [rad]."""
    level: torch.Tensor
    """(n,) how hard the tile is that the episode began on; 0 on flat ground."""
    origin: torch.Tensor
    """(n, 3) where it began [m]."""


class Legged:
    """See `envs.embodiments.embodiment.Embodiment`."""

    command_meaning = "(vx [m/s], vy [m/s], yaw rate [rad/s])"

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        spec, space, task, model = setting.spec, setting.space, setting.task, setting.physics.model
        self._qpos_index = setting.columns(joint_qpos_indices(model, spec))
        self._dof_index = setting.columns(joint_dof_indices(model, spec))
        self._feet = setting.columns(foot_geom_ids(model, spec))
        self._foot_radius = setting.tensor([foot.radius for foot in spec.feet])
        self._geom_xpos, self._torque = setting.physics.output("geom_xpos"), setting.physics.output("actuator_force")
        unit = setting.tensor([space.speed, space.speed, 1.0 / space.time])
        self.command_high = unit * setting.tensor(task.score_command_high if setting.scoring else task.command_high)
        self.terrain = Terrain(task.terrain, space.length) if task.terrain else None
        self._action_map = action_map(setting)
        self.begin()

    @staticmethod
    def terms(spec: RobotSpec, space: JointSpace, task: TaskSpec) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
        return actor_terms(space, spec.default_positions), privileged_terms(space, len(spec.feet))

    @staticmethod
    def ground(spec: RobotSpec, task: TaskSpec) -> Callable[[Any], None] | None:
        return Terrain(task.terrain, joint_space(spec).length).add_to if task.terrain else None

    @staticmethod
    def no_op(spec: RobotSpec, task: TaskSpec) -> Actor:
        """Hold the nominal pose, by actions that cancel the clock's lift of the feet."""
        space = joint_space(spec)
        full_lift = [-lift / (ACTION_SCALE * sign) for lift, sign in zip(space.lift, space.sign, strict=True)]
        widths = {term.name: term.width for term in actor_terms(space, spec.default_positions)}
        sine = sum(widths.values()) - widths["clock"]  # the clock comes last

        def act(observation: torch.Tensor) -> torch.Tensor:
            swing = observation[:, sine : sine + 1] * observation.new_tensor(space.leg_sign)
            return observation.new_tensor(full_lift) * swing.clamp(0.0, 1.0)

        return act

    def begin(self) -> None:
        n, device = self.setting.num_envs, self.setting.device
        self.episode = LeggedEpisode(
            **self.setting.blank_episode(3),
            phase=torch.zeros(n, 1, device=device),
            level=torch.zeros(n, dtype=torch.long, device=device),
            origin=torch.zeros(n, 3, dtype=torch.float64, device=device),
        )
        self._last_place = self.setting.physics.qpos[:, 0:3].clone()
        if self.terrain and self.setting.scoring:
            self.episode.level = torch.arange(n, device=device) % self.terrain.spec.levels

    def restart(self, worlds: torch.Tensor) -> None:
        setting, episode, n = self.setting, self.episode, len(worlds)
        episode.phase = episode.phase.clone()  # the last world's ground truth keeps the old one
        episode.phase[worlds] = torch.pi * (1.0 + setting.uniform(n, 1))
        if self.terrain:
            self._place(worlds, self.terrain)
        self._resample(worlds)

    def _place(self, worlds: torch.Tensor, terrain: Terrain) -> None:
        """Onto a tile as hard as earned: who came farther than half a tile gets a harder one, who lagged an easier."""
        setting, episode, physics = self.setting, self.episode, self.setting.physics
        if not setting.scoring:
            half, last = terrain.spec.tile * terrain.length / 2.0, self._last_place[worlds]
            walked = (last[:, :2] - episode.origin[worlds, :2]).norm(dim=-1)
            told = episode.command[worlds, :2].norm(dim=-1) * episode.steps[worlds] * setting.dt
            change = (walked > half).long() - (walked < (0.5 * told).clamp(max=half)).long()
            level = episode.level[worlds] + change * (episode.steps[worlds] > 0)
            episode.level[worlds] = level.clamp(0, terrain.spec.levels - 1)
        kind = torch.randint(len(KINDS), (len(worlds),), generator=setting.generator, device=setting.device)
        origin = terrain.origin(episode.level[worlds], kind)
        episode.origin[worlds] = origin
        physics.qpos[worlds, 0:3] += origin.to(physics.qpos.dtype)

    def drive(self, action: torch.Tensor) -> torch.Tensor:
        self.episode.previous_target = joint_targets(torch, action, self._clock(), **self._action_map)
        return self.episode.previous_target

    def advance(self) -> None:
        setting, episode = self.setting, self.episode
        episode.phase = advance_phase(episode.phase, frequency_hz=GAIT_FREQUENCY / setting.space.time, dt=setting.dt)
        if not setting.scoring:
            self._resample(setting.happens(setting.task.resample_seconds))
        if self.terrain:
            self._last_place = setting.physics.qpos[:, 0:3].clone()

    def world(self, previous_action: torch.Tensor) -> LeggedWorld:
        physics = self.setting.physics
        qpos, qvel = physics.qpos, snapshot(physics.qvel)
        orientation, velocity = snapshot(qpos[:, 3:7]), qvel[:, 0:3]
        height, foot_heights = snapshot(qpos[:, 2]), self._geom_xpos[:, self._feet, 2].float() - self._foot_radius
        if self.terrain:
            height = height - self.terrain.height(qpos[:, 0:2]).float()
            foot_heights = foot_heights - self.terrain.height(self._geom_xpos[:, self._feet, 0:2]).float()
        return LeggedWorld(
            orientation=orientation,
            world_velocity=velocity,
            base_velocity=to_base_frame(orientation, velocity),
            gyro=qvel[:, 3:6],
            gravity=self._gravity(orientation),
            height=height,
            foot_heights=foot_heights,
            phase=self.episode.phase,
            joint_pos=snapshot(qpos[:, self._qpos_index]),
            joint_vel=qvel[:, self._dof_index],
            torque=snapshot(self._torque),
            action=self.episode.action,
            previous_action=previous_action,
            command=self.episode.command,
        )

    def sensed(self, world: World) -> dict[str, torch.Tensor]:
        assert isinstance(world, LeggedWorld)
        return {
            "gravity": world.gravity,
            "gyro": world.gyro,
            "joint_pos": world.joint_pos,
            "joint_vel": world.joint_vel,
        }

    def actor(self, sensed: dict[str, torch.Tensor]) -> torch.Tensor:
        episode = self.episode
        return actor_observation(
            torch,
            command=episode.command,
            previous_target=episode.previous_target,
            clock=self._clock(),
            **sensed,
        )

    def privileged(self, world: World) -> list[torch.Tensor]:
        assert isinstance(world, LeggedWorld)
        contacts = (world.foot_heights < CONTACT_CLEARANCE * self.setting.space.length).float()
        return [world.base_velocity, world.height[:, None], world.foot_heights, contacts]

    def lost(self, world: World) -> torch.Tensor | None:
        return self.terrain.outside(self.setting.physics.qpos[:, 0:2]) if self.terrain else None

    def _gravity(self, orientation: torch.Tensor) -> torch.Tensor:
        """Direction of gravity in the base frame, (n, 3); worlds may be tilted."""
        randomizer = self.setting.randomizer
        if not randomizer.tilts_gravity:
            return projected_gravity(torch, orientation)
        return to_base_frame(orientation, randomizer.gravity_direction.float())

    def _clock(self) -> torch.Tensor:
        space, episode = self.setting.space, self.episode
        standing = is_standing(episode.command, speed=space.speed, time=space.time)
        return clock(torch, episode.phase, standing)

    def _resample(self, worlds: torch.Tensor) -> None:
        setting = self.setting
        moving = setting.rand(len(worlds), 1) >= setting.task.standing_fraction
        self.episode.command[worlds] = setting.uniform(len(worlds), 3) * self.command_high * moving


def action_map(setting: Setting) -> dict[str, torch.Tensor]:
    """The constants of `envs.actions.joint_targets`, on the worlds' device."""
    spec, space = setting.spec, setting.space
    return {
        "default_position": setting.tensor(spec.default_positions),
        "action_scale": ACTION_SCALE * setting.tensor(space.sign),
        "lift": setting.tensor(space.lift),
        "leg_sign": setting.tensor(space.leg_sign),
        "low": setting.tensor([joint.position_limits[0] for joint in spec.joints]),
        "high": setting.tensor([joint.position_limits[1] for joint in spec.joints]),
    }


EMBODIMENT = Legged
