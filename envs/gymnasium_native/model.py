"""The MuJoCo model of a Gymnasium environment, compiled from the very file that Gymnasium reads.

Its dynamics are those of Gymnasium's model, bit for bit. What is added is what randomization finds its way by:
actuators are named after their joints, as a robot's are, and a motor's force limit is stated, where its control range
implies it.
"""

import warnings

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.gymnasium_native.contacts import fix_contacts
from envs.physics.rows import state_row
from robots.model import DEFAULT_KEY

FORCES = "contact_forces"
"""A sensor whose only use is that MuJoCo then computes external forces (`cfrc_ext`); no robot has it."""


def compile_model(path: str, rest: NDArray[np.float64], *, forces: bool = False, fixed: bool = False) -> mujoco.MjModel:
    """Compile the file.

    Args:
        path: Of the MJCF.
        rest: Positions at the start, (nq,), kept as the keyframe that robots have.
        forces: Whether external forces on bodies are wanted.
        fixed: Whether all worlds keep the file's parameters; what only randomization needs is left out then.
    """
    editable = mujoco.MjSpec.from_file(path)
    _strip_looks(editable)
    if forces:
        body = next(body for body in editable.bodies if body.parent is not None and body.name)
        kind = mujoco.mjtSensor.mjSENS_FRAMELINACC
        editable.add_sensor(name=FORCES, type=kind, objtype=mujoco.mjtObj.mjOBJ_BODY, objname=body.name)
    for actuator in editable.actuators:
        actuator.name = actuator.target
    editable.add_key(name=DEFAULT_KEY, qpos=rest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # deprecated words in Gymnasium's own files
        model = editable.compile()
        model = fix_contacts(editable, model) if fixed else model
    if not fixed:
        _state_force_limits(model)
    if model.ntree == 1:  # constraints of one tree are one island: looking for islands costs 4 % and finds no other
        model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_ISLAND)
    return model


def _strip_looks(editable: mujoco.MjSpec) -> None:
    """Drop cameras and lights, whose places MuJoCo computes at every step, and paint; sensors may refer to cameras."""
    if editable.sensors:
        return
    for geom in editable.geoms:
        geom.material = ""
    for group in (editable.cameras, editable.lights, editable.materials, editable.textures):
        for element in list(group):
            editable.delete(element)


def _state_force_limits(model: mujoco.MjModel) -> None:
    """Of motors whose controls are limited: the force at either end of their range."""
    motors = model.actuator_ctrllimited & ~model.actuator_forcelimited & ~model.actuator_biasprm.any(-1)
    for motor in np.flatnonzero(motors):
        model.actuator_forcerange[motor] = np.sort(model.actuator_gainprm[motor, 0] * model.actuator_ctrlrange[motor])
        model.actuator_forcelimited[motor] = True


def rest_row(model: mujoco.MjModel) -> NDArray[np.float64]:
    """(num_state,) of a world that was just reset, as `mujoco.mj_resetData` leaves it."""
    return state_row(model, mujoco.MjData(model))
