"""A MuJoCo robot as its bus presents it: drives that obey late and weakly, sensors that lie a little.

Protocol servers put it on a wire. SI; joint arrays in the canonical order of the RobotSpec. All randomness comes from
the generator that is passed in.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from robots.actuation import BACK_EMF, KD, KP, RESISTANCE
from robots.model import DEFAULT_KEY, has_free_base, joint_dof_indices, joint_qpos_indices
from robots.spec import RobotSpec
from robots.state import Array, RobotCommand, RobotState

DAMPING = 3.0
"""Damping of a robot that was let go, in units of its servos' kd."""
SETTLE_SECONDS = 0.5
"""Standing on its servos before anybody is served; not part of the robot's time [s]."""


@dataclass(frozen=True, kw_only=True)
class Imperfections:
    """How drives and sensors differ from ideal ones."""

    delay: float = 0.0
    """From a command's arrival to its effect, at least [s]."""
    jitter: float = 0.0
    """Further delay of a command, at most [s]."""
    strength: float = 1.0
    """Factor on torque limits and on the gains that the drives really apply."""
    sag: float = 0.0
    """Share of the torque limit lost while the motors deliver m·g·√(gL) of power."""
    encoder_bias: tuple[float, ...] = ()
    """(num_joints,) [rad]; empty means none."""
    gyro_bias: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """[rad/s]."""
    mounting: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Rotation of the IMU against the base [rad]."""
    noise: float = 0.0
    """Factor on the sensor noise of the specification."""


class EmulatedRobot:
    """One robot in `model`, which `robots.model.build_model` made or whose actuators are named alike.

    It stands on its own servos until the first command comes. `lag` is the time constant with which its drives follow a
    target [s].
    """

    def __init__(
        self,
        spec: RobotSpec,
        model: mujoco.MjModel,
        imperfections: Imperfections,
        rng: np.random.Generator,
        lag: float = 0.0,
    ) -> None:
        self.spec, self.model, self.imperfections, self.rng = spec, model, imperfections, rng
        self.data = mujoco.MjData(model)
        self.time = 0.0
        """Seconds since the robot was switched on; resets do not turn it back."""
        self._steps = 0
        self.full_power = spec.mass * 9.81 * math.sqrt(9.81 * spec.length)
        self._qpos, self._qvel = joint_qpos_indices(model, spec), joint_dof_indices(model, spec)
        model.actuator_gainprm[:, RESISTANCE] /= imperfections.strength
        model.actuator_biasprm[:, BACK_EMF] *= imperfections.strength
        self._torque_limit = model.actuator_forcerange.copy() * imperfections.strength
        self._target = np.array(spec.default_controls)
        self._following = -math.expm1(-model.opt.timestep / lag) if lag else 1.0  # of the way to the target, per step
        self._encoder_bias = np.array(imperfections.encoder_bias or (0.0,) * spec.num_joints)
        self._pending: deque[tuple[int, RobotCommand]] = deque()
        self._find_base()
        self.reset()

    def reset(self, note: Sequence[float] = ()) -> None:
        """Stand in the default pose again, at rest on the servos; `note` is for subclasses that judge."""
        mujoco.mj_resetDataKeyframe(self.model, self.data, self.model.key(DEFAULT_KEY).id)
        self._pending.clear()
        self._apply(self._hold())
        self.data.ctrl[:] = self._target
        mujoco.mj_step(self.model, self.data, nstep=round(SETTLE_SECONDS / self.model.opt.timestep))

    def command(self, command: RobotCommand, at: float) -> None:
        """Obey a command that arrived at the time `at` [s], after the drives' delay and in order of arrival."""
        late = self.imperfections.delay + self.imperfections.jitter * self.rng.random()
        step = math.ceil((at + late) / self.model.opt.timestep - 1e-9)
        if self._pending:
            step = max(step, self._pending[-1][0])
        self._pending.append((step, command))

    def damp(self) -> None:
        """Let the joints go but for some damping, now; forget commands that are under way."""
        kd = np.array([joint.actuator.kd for joint in self.spec.joints])
        self._pending.clear()
        self._apply(
            RobotCommand(sequence=0, joint_pos=self.data.qpos[self._qpos], kp=np.zeros(len(kd)), kd=DAMPING * kd)
        )

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += seconds
        end = round(self.time / self.model.opt.timestep)
        self._weaken()
        while self._pending and self._pending[0][0] < end:
            step, command = self._pending.popleft()
            self._step_to(step)
            self._apply(command)
        self._step_to(end)

    def sense(self, sequence: int) -> RobotState:
        """What the sensors report now."""
        data, noise, encoders, imu = self.data, self.imperfections.noise, self.spec.encoders, self.spec.imu
        mounting = np.array(self.imperfections.mounting)
        return RobotState(
            sequence=sequence,
            time=self.time,
            joint_pos=data.qpos[self._qpos] + self._encoder_bias + self._normal(encoders.position_noise * noise),
            joint_vel=data.qvel[self._qvel] + self._normal(encoders.velocity_noise * noise),
            joint_torque=data.actuator_force.copy(),
            orientation=self._tilted(mounting + self._normal(imu.gravity_noise * noise, 3)),
            gyro=_unrotated(mounting, self.gyro)
            + self.imperfections.gyro_bias
            + self._normal(imu.gyro_noise * noise, 3),
        )

    @property
    def orientation(self) -> Array:
        """True orientation of the base (w, x, y, z)."""
        if self._base_qpos is None:
            return np.array([1.0, 0.0, 0.0, 0.0])
        return self.data.qpos[self._base_qpos + 3 : self._base_qpos + 7].copy()

    @property
    def gyro(self) -> Array:
        """True angular rate in the base frame [rad/s]."""
        if self._base_qvel is None:
            return np.zeros(3)
        return self.data.qvel[self._base_qvel + 3 : self._base_qvel + 6].copy()

    @property
    def velocity(self) -> Array:
        """True velocity of the base in the world [m/s]."""
        return np.zeros(3) if self._base_qvel is None else self.data.qvel[self._base_qvel : self._base_qvel + 3].copy()

    @property
    def height(self) -> float:
        """True height of the base over the ground [m]."""
        return self.spec.default_height if self._base_qpos is None else float(self.data.qpos[self._base_qpos + 2])

    @property
    def diverged(self) -> bool:
        """Whether the simulation broke down and was restarted by MuJoCo since the last reset."""
        return any(
            self.data.warning[kind].number
            for kind in (
                mujoco.mjtWarning.mjWARN_BADQPOS,
                mujoco.mjtWarning.mjWARN_BADQVEL,
                mujoco.mjtWarning.mjWARN_BADQACC,
            )
        )

    def tip_over(self, angle: float) -> None:
        """Roll the base by `angle` [rad] at once, as a hard kick would."""
        if self._base_qpos is not None:
            self.data.qpos[self._base_qpos + 3 : self._base_qpos + 7] = self._tilted(np.array([angle, 0.0, 0.0]))

    def _find_base(self) -> None:
        self._base_qpos = self._base_qvel = None
        if has_free_base(self.model, self.spec):
            joint = self.model.body(self.spec.base_body).jntadr[0]
            self._base_qpos, self._base_qvel = int(self.model.jnt_qposadr[joint]), int(self.model.jnt_dofadr[joint])

    def _hold(self) -> RobotCommand:
        actuators = [joint.actuator for joint in self.spec.joints]
        return RobotCommand(
            sequence=0,
            joint_pos=np.array(self.spec.default_positions),
            kp=np.array([actuator.kp for actuator in actuators]),
            kd=np.array([actuator.kd for actuator in actuators]),
        )

    def _apply(self, command: RobotCommand) -> None:
        strength = self.imperfections.strength
        self._target[:] = command.joint_pos
        self.model.actuator_gainprm[:, KP] = strength * command.kp
        self.model.actuator_gainprm[:, KD] = strength * command.kd

    def _weaken(self) -> None:
        power = float(np.maximum(self.data.actuator_force * self.data.qvel[self._qvel], 0.0).sum())
        load = min(1.0, power / self.full_power)
        self.model.actuator_forcerange[:] = self._torque_limit * (1.0 - self.imperfections.sag * load)

    def _step_to(self, step: int) -> None:
        if self._following == 1.0:
            self.data.ctrl[:] = self._target
            mujoco.mj_step(self.model, self.data, nstep=max(0, step - self._steps))
        else:
            for _ in range(step - self._steps):
                mujoco.mj_step(self.model, self.data)
                self.data.ctrl += self._following * (self._target - self.data.ctrl)
        self._steps = max(step, self._steps)

    def _normal(self, deviation: float, size: int | None = None) -> Array:
        return deviation * self.rng.standard_normal(size or self.spec.num_joints)

    def _tilted(self, rotation: Array) -> Array:
        """True orientation turned in the base frame by a rotation vector [rad]."""
        turned = np.empty(4)
        mujoco.mju_mulQuat(turned, self.orientation, _turn(rotation))
        return turned


def _turn(rotation: Array) -> Array:
    """The quaternion of a rotation vector [rad]."""
    turn, angle = np.empty(4), float(np.linalg.norm(rotation))
    mujoco.mju_axisAngle2Quat(turn, rotation / angle if angle else np.array([1.0, 0.0, 0.0]), angle)
    return turn


def _unrotated(rotation: Array, vector: Array) -> Array:
    """A base vector as a sensor sees it that is turned against the base by a rotation vector [rad]."""
    seen = np.empty(3)
    mujoco.mju_rotVecQuat(seen, vector, _turn(-rotation))
    return seen
