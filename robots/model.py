"""The MuJoCo model of a robot, compiled from its MJCF and its specification.

The MJCF gives bodies, inertias and shapes; everything the specification states (joint limits, actuator physics, gains,
the physics step, the nominal pose) overrides the file. SI. One actuator per joint, named as the joint and in canonical
order: `ctrl` is the vector of joint targets [rad], or of torques [N·m] where joints are commanded by torque.
"""

from collections.abc import Callable, Collection
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.actuation import add_motor, set_joint
from robots.mjcf import compile_mjcf, read_mjcf
from robots.records import nearest
from robots.spec import RobotSpec

Contacts = Literal["feet", "full"]
Ground = Callable[[mujoco.MjSpec], None]
"""Adds ground to a model that is still editable."""
FLOOR = "floor"
IMPRATIO = 10.0  # stiffness of friction against that of normal contact: feet creep less, no slower
DEFAULT_KEY = "default"
SOLVER_ITERATIONS = 20  # Newton needs 2-4 on a standing quadruped; the tolerance stops it earlier


def build_model(
    spec: RobotSpec, *, contacts: Contacts = "feet", delay_samples: int = 0, ground: Ground | None = None
) -> mujoco.MjModel:
    """Compile `spec` with a floor, its actuators and its nominal pose as keyframe "default".

    Args:
        spec: The robot.
        contacts: "feet": feet touch the floor and nothing else collides (2× faster; a fall shows as tilt or height).
            "full": everything that collides in the file collides.
        delay_samples: Length of each actuator's delay buffer in physics steps; 0 compiles without delay. The delay
            starts at the specification's and may be changed up to `delay_samples * physics_dt`.
        ground: What to stand on; the flat floor if left out.
    """
    editable = edit_model(spec, contacts=contacts, delay_samples=delay_samples, ground=ground)
    model = compile_mjcf(editable, spec.mjcf_path)
    qpos = _default_qpos(model, spec)
    editable.add_key(name=DEFAULT_KEY, qpos=qpos, ctrl=np.array(spec.default_controls))
    return editable.compile()


def edit_model(
    spec: RobotSpec, *, contacts: Contacts = "feet", delay_samples: int = 0, ground: Ground | None = None
) -> mujoco.MjSpec:
    """What `build_model` compiles, still editable and without the keyframe: for terrain, props and cameras."""
    editable = read_mjcf(spec.mjcf_path)
    _strip_controls(editable)
    strip_visuals(editable)
    _set_options(editable, spec)
    (ground or _add_floor)(editable)
    _add_sites(editable, spec)
    _set_contacts(editable, spec, contacts)
    joints = {joint.name: joint for joint in editable.joints}
    for name in spec.measured_joints:
        _require(spec, "joint", name, joints)
        if joints[name].type not in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE):
            raise ValueError(f"robot {spec.name}: joint {name!r} in {spec.mjcf_path} must be a hinge or a slide")
    for joint in spec.joints:
        set_joint(joints[joint.name], joint)
        add_motor(editable, joint, delay_samples, spec.physics_dt)
    for passive in spec.passive_joints:
        joints[passive.name].damping = [passive.damping, 0.0, 0.0]
        joints[passive.name].frictionloss = passive.friction_loss
    return editable


def _require(spec: RobotSpec, kind: str, name: str, names: Collection[str], role: str = "") -> None:
    if name not in names:
        known = ", ".join(known for known in names if known) or "none with a name"
        raise ValueError(
            f"robot {spec.name}: no {kind} {name!r}{role} in {spec.mjcf_path}{nearest(name, names)}; it has {known}. "
            f"Correct the name in the specification or in the MJCF"
        )


def joint_qpos_indices(model: mujoco.MjModel, spec: RobotSpec) -> NDArray[np.intp]:
    """(num_joints,) where the joints' positions lie in `qpos`, in canonical order."""
    return np.array([model.joint(name).qposadr[0] for name in spec.joint_names], dtype=np.intp)


def measured_qpos_indices(model: mujoco.MjModel, spec: RobotSpec) -> NDArray[np.intp]:
    """(num_measured,) where the positions of all joints with encoders lie in `qpos`: driven ones, then passive ones."""
    return np.array([model.joint(name).qposadr[0] for name in spec.measured_joints], dtype=np.intp)


def measured_dof_indices(model: mujoco.MjModel, spec: RobotSpec) -> NDArray[np.intp]:
    """(num_measured,) where their velocities lie in `qvel`."""
    return np.array([model.joint(name).dofadr[0] for name in spec.measured_joints], dtype=np.intp)


def joint_dof_indices(model: mujoco.MjModel, spec: RobotSpec) -> NDArray[np.intp]:
    """(num_joints,) where the joints' velocities lie in `qvel`, in canonical order."""
    return np.array([model.joint(name).dofadr[0] for name in spec.joint_names], dtype=np.intp)


def foot_geom_ids(model: mujoco.MjModel, spec: RobotSpec) -> NDArray[np.intp]:
    """(num_feet,) geoms of the feet, in the order of `spec.feet`."""
    return np.array([model.geom(foot.name).id for foot in spec.feet], dtype=np.intp)


def has_free_base(model: mujoco.MjModel, spec: RobotSpec) -> bool:
    """Whether the base moves freely: legged robots, not arms."""
    body = model.body(spec.base_body)
    return bool(body.jntnum[0] > 0 and model.jnt_type[body.jntadr[0]] == mujoco.mjtJoint.mjJNT_FREE)


def default_data(model: mujoco.MjModel) -> mujoco.MjData:
    """Data in the nominal pose, at rest; delayed actuators have been commanded it all along.

    A plain reset to the keyframe leaves the delay buffers at zero: the joints would jump before they stand.
    """
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key(DEFAULT_KEY).id)
    for actuator in range(model.nu):
        if model.actuator_history[actuator, 0] > 0:
            samples = np.full((1, model.actuator_history[actuator, 0]), data.ctrl[actuator])
            mujoco.mj_initCtrlHistory(model, data, actuator, None, samples.T.copy())
    mujoco.mj_forward(model, data)
    return data


def strip_visuals(editable: mujoco.MjSpec) -> None:
    """Drop meshes that only look good, and all materials and textures: compiling takes milliseconds then."""
    for geom in list(editable.geoms):
        visual = geom.type == mujoco.mjtGeom.mjGEOM_MESH and geom.contype == 0 and geom.conaffinity == 0
        weightless = geom.parent.explicitinertial or geom.mass == 0.0 or geom.density == 0.0
        if visual and weightless:  # else the body's inertia comes from this mesh
            editable.delete(geom)
    used = {geom.meshname for geom in editable.geoms}
    for mesh in list(editable.meshes):
        if mesh.name not in used:
            editable.delete(mesh)
    for geom in editable.geoms:
        geom.material = ""
    for group in (editable.materials, editable.textures):
        for element in list(group):
            editable.delete(element)


def _strip_controls(editable: mujoco.MjSpec) -> None:
    """Drop what the specification replaces."""
    for group in (editable.actuators, editable.sensors, editable.keys, editable.pairs):
        for element in list(group):
            editable.delete(element)


def _set_options(editable: mujoco.MjSpec, spec: RobotSpec) -> None:
    option = editable.option
    option.timestep = spec.physics_dt
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL  # elliptic costs 1.5-2× and creeps no less
    option.impratio = IMPRATIO
    option.iterations = SOLVER_ITERATIONS
    option.ls_iterations = 20


def _add_floor(editable: mujoco.MjSpec) -> None:
    ground = (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_HFIELD)
    if not any(geom.type in ground for geom in editable.worldbody.geoms):
        editable.worldbody.add_geom(
            name=FLOOR,
            type=ground[0],
            size=[0, 0, 0.05],
            friction=[1.0, 0.005, 0.0001],
            condim=3,
            rgba=[0.9, 0.9, 0.9, 1],
        )


def _add_sites(editable: mujoco.MjSpec, spec: RobotSpec) -> None:
    """The IMU's, where there is one; the tool's must be there."""
    _require(spec, "body", spec.base_body, [body.name for body in editable.bodies])
    if "imu" in spec.sensors and editable.site(spec.imu.site) is None:
        editable.body(spec.base_body).add_site(name=spec.imu.site)
    if spec.end_effector:
        _require(spec, "site", spec.end_effector, [site.name for site in editable.sites], " for its end_effector")


def _set_contacts(editable: mujoco.MjSpec, spec: RobotSpec, contacts: Contacts) -> None:
    """Choose who touches whom; a pair collides when one's contype meets the other's conaffinity."""
    feet = {foot.name for foot in spec.feet}
    for name in feet:
        _require(spec, "geom", name, [geom.name for geom in editable.geoms], " for a foot")
    for geom in editable.geoms:
        if geom.name in feet:
            geom.condim = 3
            geom.priority = 1  # friction and softness of a contact are the foot's: change them there
        if contacts == "feet":
            geom.contype = int(geom.name in feet)
            geom.conaffinity = int(geom.parent.name == "world")


def _default_qpos(model: mujoco.MjModel, spec: RobotSpec) -> NDArray[np.float64]:
    qpos = model.qpos0.copy()
    if has_free_base(model, spec):
        start = model.jnt_qposadr[model.body(spec.base_body).jntadr[0]]
        qpos[start : start + 7] = (0.0, 0.0, spec.default_height, 1.0, 0.0, 0.0, 0.0)
    qpos[joint_qpos_indices(model, spec)] = spec.default_positions
    for passive in spec.passive_joints:
        qpos[model.joint(passive.name).qposadr[0]] = passive.default_position
    return qpos
