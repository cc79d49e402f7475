"""Any MuJoCo model rebuilt from primitive shapes and explicit numbers.

Visual meshes are dropped, colliding meshes become their bounding boxes, inertials are written out, joints without a
motor are held where they are. What remains needs no files besides its MJCF. SI; quaternions are (w, x, y, z).
"""

import mujoco
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SPHERE = int(mujoco.mjtGeom.mjGEOM_SPHERE)
CAPSULE = int(mujoco.mjtGeom.mjGEOM_CAPSULE)
ELLIPSOID = int(mujoco.mjtGeom.mjGEOM_ELLIPSOID)
CYLINDER = int(mujoco.mjtGeom.mjGEOM_CYLINDER)
BOX = int(mujoco.mjtGeom.mjGEOM_BOX)
MESH = int(mujoco.mjtGeom.mjGEOM_MESH)
SHAPES = (SPHERE, CAPSULE, ELLIPSOID, CYLINDER, BOX)
LOOPS = (int(mujoco.mjtEq.mjEQ_CONNECT), int(mujoco.mjtEq.mjEQ_WELD))


def rebuild(model: mujoco.MjModel, joints: list[str], pose: Array, notes: list[str]) -> mujoco.MjSpec:
    """`model` as an editable specification of primitives that keeps the free joints and the hinges in `joints`.

    The other joints are held where they are in `pose`, (nq,).

    Every body and every colliding geom gets a name. What was left out is appended to `notes`.

    Raises:
        ValueError: a closed loop holds the robot together, which joints in a tree cannot express.
    """
    _refuse_loops(model)
    editable = mujoco.MjSpec()
    editable.modelname = "robot"
    editable.compiler.degree = False
    bodies = {0: editable.worldbody}
    held = [joint for joint in range(model.njnt) if not _is_kept(model, joint, joints)]
    data = _held_data(model, held, pose)
    for body in range(1, model.nbody):
        parent = bodies[int(model.body_parentid[body])]
        bodies[body] = _add_body(parent, model, body)
        if any(model.jnt_bodyid[joint] == body for joint in held):
            _place(bodies[body], model, data, body)
        _add_joints(bodies[body], model, body, held)
    for joint in held:
        label, value = model.joint(joint).name or joint, pose[model.jnt_qposadr[joint]]
        notes.append(f"joint {label} has no hinge motor and is held at {value:.3g}")
    boxes = 0
    for geom in range(model.ngeom):
        if model.geom_bodyid[geom] > 0 and (collides(model, geom) or int(model.geom_type[geom]) in SHAPES):
            boxes += model.geom_type[geom] == MESH
            _add_geom(bodies[int(model.geom_bodyid[geom])], model, geom)
    if boxes:
        notes.append(f"{boxes} colliding meshes replaced by their bounding boxes")
    for site in range(model.nsite):
        bodies[int(model.site_bodyid[site])].add_site(
            name=model.site(site).name, pos=model.site_pos[site], quat=model.site_quat[site], size=model.site_size[site]
        )
    for signature in model.exclude_signature:
        editable.add_exclude(
            bodyname1=body_name(model, signature >> 16), bodyname2=body_name(model, signature & 0xFFFF)
        )
    return editable


def collides(model: mujoco.MjModel, geom: int) -> bool:
    return bool(model.geom_contype[geom] or model.geom_conaffinity[geom])


def geom_name(model: mujoco.MjModel, geom: int) -> str:
    """The geom's name, or one made of its body's."""
    return model.geom(geom).name or f"{body_name(model, int(model.geom_bodyid[geom]))}_geom{geom}"


def extreme_points(model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> Array:
    """(num_points, 3) points of a geom in the world, the lowest among them."""
    centre, rotation = data.geom_xpos[geom], data.geom_xmat[geom].reshape(3, 3)
    kind, size = int(model.geom_type[geom]), model.geom_size[geom]
    down = np.array([0.0, 0.0, -1.0])
    if kind == MESH:
        first, count = model.mesh_vertadr[model.geom_dataid[geom]], model.mesh_vertnum[model.geom_dataid[geom]]
        return centre + model.mesh_vert[first : first + count] @ rotation.T
    if kind == SPHERE:
        return (centre + size[0] * down)[None]
    if kind == CAPSULE:
        ends = np.outer((-size[1], size[1]), rotation[:, 2])
        return centre + ends + size[0] * down
    if kind == BOX:
        corners = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1).T * size
        return centre + corners @ rotation.T
    if kind == CYLINDER:
        radial = down - (down @ rotation[:, 2]) * rotation[:, 2]
        rim = size[0] * radial / max(float(np.linalg.norm(radial)), 1e-9)
        return centre + np.outer((-size[1], size[1]), rotation[:, 2]) + rim
    support = rotation @ (size**2 * (rotation.T @ down))  # of an ellipsoid
    return (centre + support / np.linalg.norm(size * (rotation.T @ down)))[None]


def body_name(model: mujoco.MjModel, body: int) -> str:
    """The body's name, or one made of its number."""
    return model.body(body).name or f"body{body}"


def _refuse_loops(model: mujoco.MjModel) -> None:
    loops = [index for index in range(model.neq) if int(model.eq_type[index]) in LOOPS]
    if loops:
        names = ", ".join(body_name(model, int(model.eq_obj1id[index])) for index in loops)
        raise ValueError(f"closed loops are not supported, found one at {names}; model the robot as a tree of joints")


def _add_body(parent: mujoco.MjsBody, model: mujoco.MjModel, body: int) -> mujoco.MjsBody:
    added = parent.add_body(
        name=body_name(model, body),
        pos=model.body_pos[body],
        quat=model.body_quat[body],
        gravcomp=model.body_gravcomp[body],
    )
    if model.body_mass[body] > 0.0:
        added.explicitinertial = True
        added.mass, added.ipos = model.body_mass[body], model.body_ipos[body]
        added.iquat, added.inertia = model.body_iquat[body], model.body_inertia[body]
    return added


def _is_kept(model: mujoco.MjModel, joint: int, joints: list[str]) -> bool:
    return bool(model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE or model.joint(joint).name in joints)


def _held_data(model: mujoco.MjModel, held: list[int], pose: Array) -> mujoco.MjData:
    """Kinematics of the zero pose with the held joints where they are in `pose`."""
    data = mujoco.MjData(model)
    for joint in held:
        start = model.jnt_qposadr[joint]
        size = 4 if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_BALL else 1
        data.qpos[start : start + size] = pose[start : start + size]
    mujoco.mj_kinematics(model, data)
    return data


def _place(added: mujoco.MjsBody, model: mujoco.MjModel, data: mujoco.MjData, body: int) -> None:
    """Put a body where it is in `data`, in the frame of its parent."""
    parent = int(model.body_parentid[body])
    inverse, quat = np.zeros(4), np.zeros(4)
    mujoco.mju_negQuat(inverse, data.xquat[parent])
    mujoco.mju_mulQuat(quat, inverse, data.xquat[body])
    added.pos = data.xmat[parent].reshape(3, 3).T @ (data.xpos[body] - data.xpos[parent])
    added.quat = quat


def _add_joints(body: mujoco.MjsBody, model: mujoco.MjModel, index: int, held: list[int]) -> None:
    for joint in range(model.body_jntadr[index], model.body_jntadr[index] + model.body_jntnum[index]):
        name = model.joint(joint).name
        if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
            body.add_freejoint(name=name)
        elif joint not in held:
            body.add_joint(
                name=name,
                type=mujoco.mjtJoint.mjJNT_HINGE,
                pos=model.jnt_pos[joint],
                axis=model.jnt_axis[joint],
                stiffness=[model.jnt_stiffness[joint], 0.0, 0.0],
                ref=model.qpos0[model.jnt_qposadr[joint]],
                springref=model.qpos_spring[model.jnt_qposadr[joint]],
            )


def _add_geom(body: mujoco.MjsBody, model: mujoco.MjModel, geom: int) -> None:
    pos, quat, size = model.geom_pos[geom], model.geom_quat[geom], model.geom_size[geom]
    kind = int(model.geom_type[geom])
    if kind == MESH:
        offset = np.zeros(3)
        mujoco.mju_rotVecQuat(offset, model.geom_aabb[geom, :3], quat)
        kind, pos, size = BOX, pos + offset, model.geom_aabb[geom, 3:]
    body.add_geom(
        name=geom_name(model, geom),
        type=mujoco.mjtGeom(kind),
        pos=pos,
        quat=quat,
        size=size,
        contype=model.geom_contype[geom],
        conaffinity=model.geom_conaffinity[geom],
        condim=model.geom_condim[geom],
        priority=model.geom_priority[geom],
        friction=model.geom_friction[geom],
        solref=model.geom_solref[geom],
        solimp=model.geom_solimp[geom],
        margin=model.geom_margin[geom],
        gap=model.geom_gap[geom],
        group=model.geom_group[geom],
        rgba=(0.5, 0.5, 0.55, 1.0),
        mass=0.0,
    )
