"""A RobotSpec from any legged robot's or arm's MJCF, by rules that hold for all of them.

What the file states is taken; what it lacks follows from rules named in `sources` (see `feet`, `crouch` and
`servo_rules`). Length L is the hip height, m the mass, T = √(L/g), torque mgL. SI; base frame x forward, y left, z up.
"""

import logging
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np

from robots import assumptions
from robots.crouch import CROUCH, crouched
from robots.feet import add_feet
from robots.joint_space import joint_space
from robots.kinematics import Kinematics
from robots.model import build_model
from robots.primitives import body_name, rebuild
from robots.servo_rules import VELOCITY_LIMIT, gains, position_limits, torque_limit
from robots.source_model import Source, inspect, posed
from robots.spec import ActuatorSpec, EncoderSpec, FootSpec, ImuSpec, JointSpec, RobotSpec
from robots.standing import balanced, stands, stiffened
from robots.tool import find_tool

log = logging.getLogger(__name__)


def convert(source: Path, folder: Path, *, name: str, pose_source: Path | None = None) -> RobotSpec:
    """Write `source` as primitives to `folder/robot.xml` and derive its specification.

    Args:
        source: MJCF of the robot alone.
        folder: Receives the MJCF.
        name: Of the robot.
        pose_source: MJCF with keyframes where `source` has none, for instance its scene.

    Raises:
        FileNotFoundError: the MJCF, or a file that it needs, is missing.
        ValueError: not a robot with two, four or six legs or an arm, with the reason.
    """
    found = inspect(source, pose_source)
    notes = ["a flat floor", f"position servos with torque-speed limits in place of {found.model.nu} actuators"]
    editable = rebuild(found.model, found.names, found.qpos, notes)
    feet = add_feet(editable, found, notes)
    imu = _add_imu(editable, found, notes) if feet else ImuSpec().site
    tool = "" if feet else find_tool(editable, found, notes)
    path = folder / "robot.xml"
    folder.mkdir(parents=True, exist_ok=True)
    editable.compile()
    path.write_text(editable.to_xml())
    spec = _first_spec(found, name, path, feet, imu, tool)
    if len(feet) > 2:
        spec = _order_legs(spec)
    if len(feet) == 4 and not found.has_pose:
        spec = replace(spec, joints=crouched(spec))
        notes.append(f"nominal pose: legs at {CROUCH} of their length, feet under hips, knees inward where they can")
    spec = _set_gains(_set_height(spec), found, notes)
    if feet and not stands(spec):
        spec = stiffened(_set_height(balanced(spec, notes)), notes)
    _exclude_touching(editable, spec, notes)
    path.write_text(editable.to_xml())
    for note in notes:
        log.info("%s: %s", name, note)
    return replace(spec, sources={**spec.sources, "added": "; ".join(notes)})


def _add_imu(editable: mujoco.MjSpec, found: Source, notes: list[str]) -> str:
    """Name of a site parallel to the base: the file's IMU, or a new one at the same place."""
    model = found.model
    on_base = [site for site in range(model.nsite) if model.site_bodyid[site] == found.base]
    own = [site for site in on_base if "imu" in model.site(site).name]
    for site in own:
        if abs(model.site_quat[site, 0]) > 1.0 - 1e-6:
            return model.site(site).name
    position = model.site_pos[own[0]] if own else np.zeros(3)
    name = "imu" if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, "imu") < 0 else "imu_level"
    editable.body(body_name(model, found.base)).add_site(name=name, pos=position)
    notes.append(f"site {name} on the base, parallel to it")
    return name


def _first_spec(found: Source, name: str, path: Path, feet: list[FootSpec], imu: str, tool: str) -> RobotSpec:
    """Everything but height, length and gains, with joints in the file's order."""
    model, kind = found.model, {0: "arm", 2: "humanoid", 4: "quadruped", 6: "hexapod"}[len(feet)]
    return RobotSpec(
        name=name,
        kind=kind,  # type: ignore[arg-type]
        mjcf=str(path),
        base_body=body_name(model, found.base),
        joints=tuple(_first_joint(found, joint) for joint in found.joints),
        feet=tuple(feet),
        end_effector=tool,
        sensors=("imu", "encoders") if feet else ("encoders",),
        imu=replace(assumptions.IMU if feet else ImuSpec(), site=imu),
        encoders=assumptions.ENCODERS if feet else EncoderSpec(),
        default_height=1.0,
        length=1.0,
        mass=float(model.body_mass.sum()),
        sources={
            "geometry": "the robot's MJCF",
            "inertias": "the robot's MJCF",
            "joint_limits": "the robot's MJCF; for joints without, the actuator's control range or one turn either way",
            "default_pose": "keyframe of the MJCF" if found.has_pose else "zero pose of the MJCF",
            "actuator_physics": f"the robot's MJCF; no-load speed {VELOCITY_LIMIT}/T",
            "delay": assumptions.DELAY_SOURCE if feet else "none",
            "sensors": assumptions.SENSORS if feet else "encoders without noise",
        },
    )


def _first_joint(found: Source, joint: int) -> JointSpec:
    model = found.model
    low, high = position_limits(model, joint)
    position = float(np.clip(found.qpos[model.jnt_qposadr[joint]], low, high))
    dof = model.jnt_dofadr[joint]
    actuator = ActuatorSpec(
        kp=1.0,
        kd=0.0,
        torque_limit=1.0,
        velocity_limit=1.0,
        armature=float(model.dof_armature[dof]),
        damping=float(model.dof_damping[dof]),
        friction_loss=float(model.dof_frictionloss[dof]),
    )
    return JointSpec(
        name=model.joint(joint).name, position_limits=(low, high), default_position=position, actuator=actuator
    )


def _order_legs(spec: RobotSpec) -> RobotSpec:
    """Feet in pairs from front to rear, left before right; joints leg by leg, from the base outward, others last."""
    kinematics = Kinematics(spec)
    nominal = np.array(spec.default_positions)
    x, y, _ = np.array([kinematics.foot(index, nominal) for index in range(len(spec.feet))]).T
    order = np.lexsort((-y, np.argsort(np.argsort(-x)) // 2))
    chains = [kinematics.chain(int(index)) for index in order]
    first = [joint for chain in chains for joint in chain]
    joints = first + [joint for joint in range(spec.num_joints) if joint not in first]
    return replace(
        spec,
        feet=tuple(spec.feet[int(index)] for index in order),
        joints=tuple(spec.joints[joint] for joint in joints),
    )


def _set_height(spec: RobotSpec) -> RobotSpec:
    """Base height with the lowest foot just on the ground, and the unit of length."""
    if spec.feet:
        kinematics = Kinematics(spec)
        nominal = np.array(spec.default_positions)
        bottoms = [kinematics.foot(leg, nominal)[2] - foot.radius for leg, foot in enumerate(spec.feet)]
        spec = replace(spec, default_height=-float(min(bottoms)))
    else:
        model = mujoco.MjModel.from_xml_path(spec.mjcf)
        spec = replace(spec, default_height=float(posed(model, 0, model.qpos0).body(spec.base_body).xpos[2]))
    return replace(spec, length=joint_space(spec).length)


def _set_gains(spec: RobotSpec, found: Source, notes: list[str]) -> RobotSpec:
    space = joint_space(spec)
    joints = []
    ruled: set[str] = set()
    for joint in spec.joints:
        index = found.model.joint(joint.name).id
        kp, kd, damping = gains(found.model, index, joint, space.torque, space.time, bool(spec.feet), ruled)
        actuator = replace(
            joint.actuator,
            kp=kp,
            kd=kd,
            damping=damping,
            torque_limit=torque_limit(found.model, index, space.torque, ruled),
            velocity_limit=VELOCITY_LIMIT / space.time,
            delay=assumptions.DELAY if spec.feet else 0.0,
        )
        joints.append(replace(joint, actuator=actuator))
    notes.extend(sorted(ruled))
    rules = "; ".join(sorted(note for note in ruled if note.startswith(("kp", "kd")))) or "position servos of the MJCF"
    return replace(spec, joints=tuple(joints), sources={**spec.sources, "gains": rules})


def _exclude_touching(editable: mujoco.MjSpec, spec: RobotSpec, notes: list[str]) -> None:
    """Let bodies that overlap in the nominal pose pass through each other: boxes are larger than their meshes."""
    model = build_model(spec, contacts="full")
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    mujoco.mj_forward(model, data)
    pairs = {tuple(sorted(model.geom_bodyid[contact.geom].tolist())) for contact in data.contact}
    for first, second in sorted(pair for pair in pairs if pair[0] > 0 or not spec.feet):  # feet do touch the ground
        editable.add_exclude(bodyname1=model.body(first).name, bodyname2=model.body(second).name)
        notes.append(f"{model.body(first).name} and {model.body(second).name} overlap at rest and do not collide")
