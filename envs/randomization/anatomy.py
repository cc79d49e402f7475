"""Where the parts of a robot lie in its compiled model, found by name and structure."""

from typing import Literal

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray

from robots.joint_space import JointSpace
from robots.model import foot_geom_ids, has_free_base, measured_dof_indices
from robots.spec import RobotSpec

Group = Literal["leaning_x", "leaning_y", "base", "trunk", "carrier", "feet", "surfaces", "dofs", "actuators", "servos"]
GROUPS: dict[Group, str] = {
    "leaning_x": "gravity along x, which moves some joint",
    "leaning_y": "gravity along y, which moves some joint",
    "base": "a free base",
    "trunk": "a free base, or else all links that move",
    "carrier": "what carries a load: a free base, or else the link with the tool",
    "feet": "feet",
    "surfaces": "shapes that rub on each other, of a machine without feet",
    "dofs": "joints with encoders",
    "actuators": "actuators",
    "servos": "position servos",
}
"""What a row of a model field can be on a robot."""


class Anatomy:
    """Rows of model fields by group, as indices on `device`.

    Attributes:
        rows: Group -> indices, (number of rows,); empty where the robot has no such thing.
        units: Unit -> its size in SI.
        carrier: Body on which payloads and random forces act.
    """

    def __init__(self, model: mujoco.MjModel, spec: RobotSpec, space: JointSpace, device: torch.device) -> None:
        self.model, self.spec, self.device = model, spec, device
        self.units = {"1": 1.0, "rad": 1.0, "L": space.length, "m": space.mass, "g": space.gravity}
        self.carrier = carrier_body(model, spec)
        found = {group: find_rows(model, spec, group) for group in GROUPS}
        self.rows = {group: torch.from_numpy(rows.astype(np.int64)).to(device) for group, rows in found.items()}


def find_rows(model: mujoco.MjModel, spec: RobotSpec, group: Group) -> NDArray[np.intp]:
    """Rows of the group in this model: bodies, geoms, degrees of freedom or actuators."""
    free = has_free_base(model, spec)
    base = model.body(spec.base_body).id
    if group in ("leaning_x", "leaning_y"):
        return np.array([0] if _moves_along(model, "xy".index(group[-1])) else [], dtype=np.intp)
    if group == "base":
        return np.array([base] if free else [], dtype=np.intp)
    if group == "trunk":
        return np.array([base]) if free else np.flatnonzero(model.body_weldid)
    if group == "carrier":
        return np.array([carrier_body(model, spec)])
    if group == "feet":
        return foot_geom_ids(model, spec)
    if group == "surfaces":
        return rubbing_geoms(model) if spec.kind == "machine" and not spec.feet else np.array([], dtype=np.intp)
    if group == "dofs":
        return measured_dof_indices(model, spec)
    names = [joint.name for joint in spec.joints if group == "actuators" or joint.actuator.control == "position"]
    return np.array([model.actuator(name).id for name in names], dtype=np.intp)


def _moves_along(model: mujoco.MjModel, axis: int) -> bool:
    """Whether some body can move along a horizontal axis: not so across a machine that moves in a plane."""
    data, jacobian = mujoco.MjData(model), np.zeros((3, model.nv))
    data.qpos[:] = model.qpos0 + 0.1 * np.arange(1, model.nq + 1) / model.nq  # no special pose
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    for body in range(1, model.nbody):
        mujoco.mj_jacBodyCom(model, data, jacobian, None, body)
        if np.abs(jacobian[axis]).max(initial=0.0) > 1e-6:
            return True
    return False


def rubbing_geoms(model: mujoco.MjModel) -> NDArray[np.intp]:
    """Geoms that may touch one on another body, with friction between them."""
    mask = (model.geom_contype[:, None] & model.geom_conaffinity[None, :]) != 0
    body = model.body_weldid[model.geom_bodyid]
    apart = body[:, None] != body[None, :]
    rough = np.maximum.outer(model.geom_condim, model.geom_condim) > 1
    return np.flatnonzero(((mask | mask.T) & apart & rough).any(-1))


def carrier_body(model: mujoco.MjModel, spec: RobotSpec) -> int:
    """The free base; of an arm the link with the tool; of a machine the link of its last joint."""
    if has_free_base(model, spec):
        return int(model.body(spec.base_body).id)
    if spec.end_effector:
        return int(model.site(spec.end_effector).bodyid[0])
    return int(model.joint(spec.measured_joints[-1]).bodyid[0])


def compiled(model: mujoco.MjModel, field: str) -> NDArray[np.float64]:
    """(num_rows, num_columns) compiled values of a model field; options have one row, lists one column."""
    if field.startswith("opt."):
        return getattr(model.opt, field.removeprefix("opt.")).reshape(1, -1)
    value = getattr(model, field)
    return value.reshape(len(value), -1)
