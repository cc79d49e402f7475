"""A robot without a policy: its joints follow the knobs through its own servos, or take their torques. SI."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.model import Ground, build_model, default_data, has_free_base
from robots.spec import JointSpec, RobotSpec
from sim2real.view.simulation import Knob, State, Values

HANG = "hang in the air"
"""Knob of robots that could fall: holds the base where the feet touch nothing."""
LIFT = 0.5
"""How high above its nominal pose a hanging base is [L]."""


class BareRobot:
    """One world; see `sim2real.view.simulation.Simulation`. Everything that can collide does."""

    num_worlds: int = 1
    ground: Ground | None = None

    def __init__(self, spec: RobotSpec) -> None:
        self.spec, self.model = spec, build_model(spec, contacts="full")
        self.title = spec.name
        self.dt = 1.0 / spec.control_hz
        self._free = has_free_base(self.model, spec)
        self._targets = {_label(joint, self.model): index for index, joint in enumerate(spec.joints)}
        hang = (Knob(label=HANG, value=0.0, switch=True),) if self._free else ()
        self.knobs = hang + tuple(_knob(joint, self.model) for joint in spec.joints)
        self.reset()

    def reset(self) -> None:
        self._data = default_data(self.model)

    def step(self, values: Values) -> NDArray[np.bool_]:
        data = self._data
        for label, index in self._targets.items():
            data.ctrl[index] = values[label]
        before = _warnings(data)
        for _ in range(self.spec.substeps):
            mujoco.mj_step(self.model, data)
            if self._free and values[HANG]:
                hold(self.spec, self.model, data)
        diverged = _warnings(data) > before
        if diverged:
            self.reset()
        return np.array([diverged])

    def state(self) -> State:
        data = self._data
        return State(qpos=data.qpos[None].copy(), qvel=data.qvel[None].copy(), ctrl=data.ctrl[None].copy())


def hold(spec: RobotSpec, model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Put a free base upright above the ground, at rest; joints stay as they are."""
    joint = model.body(spec.base_body).jntadr[0]
    position, velocity = model.jnt_qposadr[joint], model.jnt_dofadr[joint]
    data.qpos[position : position + 7] = (0.0, 0.0, spec.default_height + LIFT * spec.length, 1.0, 0.0, 0.0, 0.0)
    data.qvel[velocity : velocity + 6] = 0.0


def unit(joint: JointSpec, model: mujoco.MjModel) -> str:
    """Of a joint's position."""
    return "m" if model.jnt_type[model.joint(joint.name).id] == mujoco.mjtJoint.mjJNT_SLIDE else "rad"


def _knob(joint: JointSpec, model: mujoco.MjModel) -> Knob:
    if joint.actuator.control == "position":
        low, high = joint.position_limits
        return Knob(label=_label(joint, model), low=low, high=high, value=joint.default_position)
    limit = joint.actuator.torque_limit
    return Knob(label=_label(joint, model), low=-limit, high=limit, value=0.0)


def _label(joint: JointSpec, model: mujoco.MjModel) -> str:
    where = unit(joint, model)
    if joint.actuator.control == "position":
        return f"{joint.name} [{where}]"
    return f"{joint.name} [{'N' if where == 'm' else 'N·m'}]"


def _warnings(data: mujoco.MjData) -> int:
    """Times the state left the finite numbers: MuJoCo then resets it by itself."""
    bad = (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC)
    return sum(int(data.warning[kind].number) for kind in bad)
