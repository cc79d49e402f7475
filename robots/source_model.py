"""What a robot's MJCF states: base, driven joints, pose, limbs. The base is the body with the free joint, if any."""

from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.mjcf import compile_mjcf, read_mjcf
from robots.model import strip_visuals
from robots.primitives import body_name

Array = NDArray[np.float64]
POSE_WORDS = ("home", "stand", "default")
"""Parts of the names of keyframes in which a robot stands, best first."""


@dataclass(frozen=True)
class Source:
    """A compiled model and what was found in it."""

    model: mujoco.MjModel
    base: int
    joints: list[int]
    qpos: Array
    has_pose: bool

    @property
    def names(self) -> list[str]:
        return [self.model.joint(joint).name for joint in self.joints]


def inspect(source: Path, pose_source: Path | None) -> Source:
    """Compile `source` and find its base, driven joints and pose.

    Raises:
        FileNotFoundError: the file, or one it needs, is missing.
        ValueError: nothing drives a hinge joint, or the file is wrong.
    """
    model = _compile(source)
    if not model.nu:
        raise ValueError(
            f"{source}: no actuator, so nothing says which joints are driven and how strongly; add a <motor joint=... "
            f"ctrlrange=...> or <position> for each driven joint"
        )
    free = [joint for joint in range(model.njnt) if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE]
    hinges = [joint for joint in range(model.njnt) if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE]
    driven = {int(model.actuator_trnid[act, 0]) for act in range(model.nu) if _drives_joint(model, act)}
    joints = [joint for joint in hinges if joint in driven]
    if not joints:
        raise ValueError(f"{source}: no hinge joint has a motor; legged robots and arms are supported")
    nameless = [joint for joint in joints if not model.joint(joint).name]
    if nameless:
        bodies = sorted({body_name(model, int(model.jnt_bodyid[joint])) for joint in nameless})
        raise ValueError(f"{source}: driven joints of {', '.join(bodies)} have no name; name every driven joint")
    base = int(model.jnt_bodyid[free[0]]) if free else int(model.body_rootid[model.jnt_bodyid[joints[0]]])
    qpos, has_pose = _find_pose(model, pose_source)
    return Source(model, base, joints, qpos, has_pose)


def _compile(source: Path) -> mujoco.MjModel:
    editable = read_mjcf(source)
    strip_visuals(editable)
    return compile_mjcf(editable, source)


def _drives_joint(model: mujoco.MjModel, actuator: int) -> bool:
    return bool(model.actuator_trntype[actuator] == mujoco.mjtTrn.mjTRN_JOINT)


def actuators(model: mujoco.MjModel, joint: int) -> list[int]:
    """Of a joint."""
    return [act for act in range(model.nu) if _drives_joint(model, act) and model.actuator_trnid[act, 0] == joint]


def _find_pose(model: mujoco.MjModel, pose_source: Path | None) -> tuple[Array, bool]:
    """The keyframe that looks most like standing, or the zero pose."""
    other = model
    if model.nkey == 0 and pose_source is not None and len(read_mjcf(pose_source).keys):
        other = _compile(pose_source)
    if other.nkey == 0 or other.nq != model.nq:
        return model.qpos0.copy(), False
    names = [other.key(index).name.lower() for index in range(other.nkey)]
    best = min(range(other.nkey), key=lambda index: [word not in names[index] for word in POSE_WORDS])
    return other.key_qpos[best].copy(), True


def posed(model: mujoco.MjModel, base: int, qpos: Array) -> mujoco.MjData:
    """Kinematics in pose `qpos` with the base level at the origin."""
    data = mujoco.MjData(model)
    data.qpos = qpos
    if is_free(model, base):
        start = model.jnt_qposadr[model.body_jntadr[base]]
        data.qpos[start : start + 7] = (0, 0, 0, 1, 0, 0, 0)
    mujoco.mj_kinematics(model, data)
    return data


def is_free(model: mujoco.MjModel, body: int) -> bool:
    """Whether a body floats."""
    first = model.body_jntadr[body]
    return bool(first >= 0 and model.jnt_type[first] == mujoco.mjtJoint.mjJNT_FREE)


def drives_position(model: mujoco.MjModel, actuator: int) -> bool:
    """Whether an actuator is a position servo."""
    return bool(model.actuator_biastype[actuator] == mujoco.mjtBias.mjBIAS_AFFINE)


def limb_ends(found: Source) -> list[int]:
    """Bodies with a driven joint and none further out."""
    model = found.model
    moved = {int(model.jnt_bodyid[joint]) for joint in found.joints}
    inner = set()
    for body in moved:
        parent = int(model.body_parentid[body])
        while parent > 0:
            inner.add(parent)
            parent = int(model.body_parentid[parent])
    return sorted(moved - inner)
