"""What each joint of a robot does, seen without its name: how it turns, where it sits on its limb, what it moves there.

Read in the nominal pose. Lengths are in those of the limb, so nothing has a unit. Vectors are in the base frame, an
arm's in one that is turned about the vertical so that the arm reaches along x and bends about y.
"""

from functools import cached_property
from itertools import pairwise

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.joint_space import joint_space
from robots.kinematics import Kinematics
from robots.limbs import Limb, limbs
from robots.spec import RobotSpec

Array = NDArray[np.float64]
NEAR = 0.2
"""Up to here points of a limb are at one place, in lengths of the limb: hips and wrists have several joints there."""
AHEAD = 0.2
"""From here on a tool lies ahead of an arm rather than above it [L]; below, ahead is where the base's x points."""
UPRIGHT = 0.5
"""Vertical component up to which an axis counts as horizontal."""


class Anatomy:
    """Joints and limbs of a robot; arrays are in canonical order."""

    def __init__(self, spec: RobotSpec) -> None:
        self.spec, self.space, kinematics = spec, joint_space(spec), Kinematics(spec)
        self.joints = range(spec.num_joints)
        self.limbs = limbs(kinematics)
        self.carried = [kinematics.moved_by(joint) for joint in self.joints]
        self.anchors = np.array([kinematics.anchor(joint) for joint in self.joints])
        self.axes = np.array([kinematics.axis(joint) for joint in self.joints])
        self.slides = kinematics.model.jnt_type[kinematics.joints] == mujoco.mjtJoint.mjJNT_SLIDE
        owner = {joint: limb for limb in self.limbs for joint in limb.joints}
        self.limb = [owner[joint] for joint in self.joints]
        self.rank = [limb.joints.index(joint) for joint, limb in enumerate(self.limb)]

    @cached_property
    def frame(self) -> Array:
        """(3, 3) rows are forward, left and up."""
        if self.spec.feet:
            return np.eye(3)
        arm = self.limbs[0]
        lying = next(
            (axis for axis in self.axes[list(arm.joints)] if abs(axis[2]) < UPRIGHT), np.array([0.0, 1.0, 0.0])
        )
        forward = np.array([lying[1], -lying[0], 0.0]) / np.hypot(lying[0], lying[1])
        reach = float((arm.tip - self.anchors[arm.joints[0]]) @ forward) / self.space.length
        forward *= np.sign(next(value for value in (reach, *forward) if abs(value) > AHEAD))
        return np.array([forward, [-forward[1], forward[0], 0.0], [0.0, 0.0, 1.0]])

    @cached_property
    def axis(self) -> Array:
        """(num_joints, 3) axes; those of a trunk that carries the legs are read from the feet, which stand."""
        legs = {joint for limb in self.limbs if limb.kind == "leg" for joint in limb.joints}
        below = [limb.kind == "trunk" and bool(legs & set(self.carried[joint])) for joint, limb in enumerate(self.limb)]
        return np.where(np.array(below)[:, None], -self.axes, self.axes) @ self.frame.T

    @cached_property
    def length(self) -> Array:
        """(num_joints,) length of each joint's limb, through its anchors to its end; L of one without extent [m]."""
        lengths = np.array([self._way(limb)[-1] for limb in self.limb])
        return np.where(lengths > 0.0, lengths, self.space.length)

    @cached_property
    def along(self) -> Array:
        """(num_joints,) how far out on its limb a joint sits: 0 at the first one, 1 at the end."""
        return np.array([self._way(limb)[rank] for limb, rank in zip(self.limb, self.rank, strict=True)]) / self.length

    @cached_property
    def steps(self) -> Array:
        """(num_joints, 2) how many joints of its limb lie before and behind a joint."""
        return np.array([(rank, len(limb.joints) - 1 - rank) for limb, rank in zip(self.limb, self.rank, strict=True)])

    @cached_property
    def lever(self) -> Array:
        """(num_joints, 3) velocity of the limb's end at unit speed of the joint, in lengths of the limb."""
        arms = (np.array([limb.tip for limb in self.limb]) - self.anchors) @ self.frame.T
        return np.where(self.slides[:, None], self.axis, np.cross(self.axis, arms) / self.length[:, None])

    @cached_property
    def twist(self) -> Array:
        """(num_joints,) component of the axis along the link before or behind: ±1 turns it about itself, 0 bends."""
        before, behind = ([self._link(joint, step) @ self.axis[joint] for joint in self.joints] for step in (-1, 1))
        return np.where(np.abs(before) > np.abs(behind), before, behind)

    @cached_property
    def stretch(self) -> Array:
        """(num_joints,) of joints that extend a leg: how fast the foot leaves the hip, in lengths of the leg."""
        speeds = np.zeros(self.spec.num_joints)
        for limb in self.limbs:
            roles = {self.space.role[joint]: joint for joint in limb.joints}
            if limb.kind == "leg" and {"swing", "extend"} <= roles.keys():
                away = limb.tip - self.anchors[roles["swing"]]
                speeds[roles["extend"]] = self.lever[roles["extend"]] @ away / np.linalg.norm(away)
        return speeds

    def mirrored(self) -> list[int]:
        """(num_joints,) the joint on the other side of each joint: itself on arms, and in the middle."""
        image = list(self.joints)
        for limb in self.limbs:
            other = min(self.limbs, key=lambda other: _off_mirror(limb, other))
            for joint, counterpart in zip(limb.joints, other.joints, strict=True):
                image[joint] = counterpart
        return image

    def _points(self, limb: Limb) -> Array:
        """(joints + 1, 3) anchors of a limb and its end; an arm's as they lie in the plane in which it bends.

        A joint may be drawn anywhere along its axis, so steps across that plane say nothing.
        """
        points = np.array([*self.anchors[list(limb.joints)], limb.tip]) @ self.frame.T
        return points * np.array([1.0, 0.0, 1.0]) if limb.kind == "arm" else points

    def _way(self, limb: Limb) -> Array:
        """(joints + 1,) way along a limb to each of its anchors and to its end [m]."""
        steps = [float(np.linalg.norm(b - a)) for a, b in pairwise(self._points(limb))]
        return np.concatenate([[0.0], np.cumsum(steps)])

    def _link(self, joint: int, step: int) -> Array:
        """(3,) direction of the link behind a joint (step 1), or before it (-1); an arm begins at its base.

        It leads to the nearest point of the limb that is at another place; behind the last joint, to the end.
        """
        limb, rank = self.limb[joint], self.rank[joint]
        points = self._points(limb)
        base = np.zeros((1 if limb.kind == "arm" else 0, 3))
        others = points[rank + 1 :] if step > 0 else np.concatenate([base, points[:rank]])[::-1]
        ways = (others - points[rank]) * step
        sizes = np.linalg.norm(ways, axis=1)
        far = np.flatnonzero(sizes > NEAR * self.length[joint])
        chosen = far[0] if len(far) else len(ways) - 1
        if chosen < 0 or (step < 0 and not len(far)) or sizes[chosen] == 0.0:
            return np.zeros(3)
        return ways[chosen] / sizes[chosen]


def _off_mirror(limb: Limb, other: Limb) -> float:
    """How far two limbs are from being mirror images of each other; infinite for limbs of another kind or length."""
    if (limb.kind, len(limb.joints)) != (other.kind, len(other.joints)):
        return np.inf
    return float(np.abs(limb.place * np.array([1.0, -1.0, 1.0]) - other.place).sum())
