"""What a compiled model must become under a sample, worked out from the claims in NumPy, apart from what writes it.

Rows are looked up here once more, by name; the payload is added as spatial inertias about the origin of its body. The
constants are those of MuJoCo's own mj_setConst on the copy.
"""

import copy
from collections.abc import Mapping

import mujoco
import numpy as np
from mujoco.batch import MODEL_FIELDS
from numpy.typing import NDArray

from envs.randomization.parameter import Claim
from envs.randomization.terms import MODEL_TERMS, PAYLOAD_HEIGHT
from robots.joint_space import JointSpace
from robots.spec import RobotSpec

Array = NDArray[np.float64]
Sample = Mapping[str, Array]
"""Parameter -> its values, (1,) or one for each row."""
LOOKS = ("name", "key_", "mat_", "tex_", "text_", "tuple_", "numeric_")
"""Beginnings of the names of fields that physics does not read."""


def expected_model(
    compiled: mujoco.MjModel, spec: RobotSpec, space: JointSpace, sample: Sample, found: mujoco.MjModel
) -> mujoco.MjModel:
    """A copy of the compiled model under `sample`, constants recomputed.

    Principal axes can be numbered in any order: they are taken from `found` where the inertia is the same.
    """
    model = copy.copy(compiled)
    units = {"1": 1.0, "L": space.length, "m": space.mass, "g": space.gravity}
    for parameter in MODEL_TERMS:
        if parameter.name not in sample:
            continue
        value = sample[parameter.name] * units[parameter.unit]
        if parameter.name == "payload":
            (body,) = rows_of(compiled, spec, parameter.claims[0])
            _add_payload(model, body, float(value[0]), space.length)
            if np.allclose(inertia_about_origin(model, body), inertia_about_origin(found, body), rtol=1e-9):
                model.body_inertia[body], model.body_iquat[body] = found.body_inertia[body], found.body_iquat[body]
        else:
            for claim in parameter.claims:
                _change(model, rows_of(compiled, spec, claim), claim, value)
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


def field_of(model: mujoco.MjModel, name: str) -> NDArray:
    """A field by its name, "opt.gravity" and the like included."""
    return np.asarray(getattr(model.opt, name[4:]) if name.startswith("opt.") else getattr(model, name))


def table_of(model: mujoco.MjModel, name: str) -> NDArray:
    """The same as rows and columns, (num_rows, num_columns), a view; options have one row, lists one column."""
    field = field_of(model, name)
    return field.reshape(1, -1) if name.startswith("opt.") else field.reshape(len(field), -1)


def all_fields(model: mujoco.MjModel) -> list[str]:
    """Every field that can differ between worlds and that physics may read."""
    return sorted(name for name in MODEL_FIELDS if not name.startswith(LOOKS) and field_of(model, name).size)


def rows_of(model: mujoco.MjModel, spec: RobotSpec, claim: Claim) -> list[int]:
    """Rows that a claim means, by the names in the robot's specification; empty where it has no such thing."""
    if claim.rows in ("leaning_x", "leaning_y"):
        return [0] if _leans(model, "xy".index(claim.rows[-1])) else []
    base = model.body(spec.base_body)
    free = base.jntnum[0] == 1 and model.jnt_type[base.jntadr[0]] == mujoco.mjtJoint.mjJNT_FREE
    moving = [body for body in range(1, model.nbody) if _moves(model, body)]
    servos = [joint.name for joint in spec.joints if joint.actuator.control == "position"]
    tool = model.site(spec.end_effector).bodyid[0] if spec.end_effector else None
    last = model.joint(spec.measured_joints[-1]).bodyid[0]
    rows = {
        "base": [base.id] if free else [],
        "trunk": [base.id] if free else moving,
        "carrier": [base.id if free else last if tool is None else tool],
        "feet": [model.geom(foot.name).id for foot in spec.feet],
        "surfaces": [geom for geom in range(model.ngeom) if spec.kind == "machine" and _rubs(model, geom)],
        "dofs": [model.joint(name).dofadr[0] for name in spec.measured_joints],
        "actuators": [model.actuator(joint.name).id for joint in spec.joints],
        "servos": [model.actuator(name).id for name in servos],
    }
    return [int(row) for row in rows[claim.rows]]


def _leans(model: mujoco.MjModel, axis: int) -> bool:
    """Whether gravity along a horizontal axis asks some joint for a torque."""
    leaning = copy.copy(model)
    leaning.opt.gravity[:] = np.eye(3)[axis]
    data = mujoco.MjData(leaning)
    data.qpos[:] += 0.1
    mujoco.mj_forward(leaning, data)
    return bool(np.abs(data.qfrc_bias).max(initial=0.0) > 1e-6)


def _rubs(model: mujoco.MjModel, geom: int) -> bool:
    """Whether a geom may touch one on another body, and not only without friction."""
    for other in range(model.ngeom):
        meet = model.geom_contype[geom] & model.geom_conaffinity[other]
        meet |= model.geom_contype[other] & model.geom_conaffinity[geom]
        welds = {int(model.body_weldid[model.geom_bodyid[each]]) for each in (geom, other)}
        if meet and len(welds) == 2 and max(model.geom_condim[geom], model.geom_condim[other]) > 1:
            return True
    return False


def _moves(model: mujoco.MjModel, body: int) -> bool:
    """Whether a joint lies between a body and the world."""
    while body:
        if model.body_jntnum[body]:
            return True
        body = model.body_parentid[body]
    return False


def _change(model: mujoco.MjModel, rows: list[int], claim: Claim, value: Array) -> None:
    table = table_of(model, claim.field)
    for index, row in enumerate(rows):
        by = value[index] if len(value) > 1 else value[0]
        for column in claim.columns:
            if claim.operation == "scale":
                table[row, column] *= by
            elif claim.operation == "divide":
                table[row, column] /= by
            else:
                table[row, column] = by + (table[row, column] if claim.operation == "add" else 0.0)


def inertia_about_origin(model: mujoco.MjModel, body: int) -> Array:
    """(3, 3) inertia of a body about the origin of its frame, parallel to it [kg·m²]."""
    axes = np.zeros(9)
    mujoco.mju_quat2Mat(axes, model.body_iquat[body])
    turned = axes.reshape(3, 3) @ np.diag(model.body_inertia[body]) @ axes.reshape(3, 3).T
    return turned + model.body_mass[body] * _point(model.body_ipos[body])


def _point(place: Array) -> Array:
    """Inertia of a unit point mass about the origin."""
    return float(place @ place) * np.eye(3) - np.outer(place, place)


def _add_payload(model: mujoco.MjModel, body: int, load: float, length: float) -> None:
    place = np.array([0.0, 0.0, PAYLOAD_HEIGHT * length])
    about_origin = inertia_about_origin(model, body) + load * _point(place)
    mass = model.body_mass[body]
    centre = (mass * model.body_ipos[body] + load * place) / (mass + load)
    moments, axes = np.linalg.eigh(about_origin - (mass + load) * _point(centre))
    if np.linalg.det(axes) < 0.0:
        axes[:, 0] *= -1.0
    model.body_mass[body], model.body_ipos[body], model.body_inertia[body] = mass + load, centre, moments
    mujoco.mju_mat2Quat(model.body_iquat[body], axes.ravel())
