"""Forward kinematics of the chain of joints from a robot's base to its tool, over arrays.

The same lines run in training (torch, many worlds) and on the robot (numpy): a controller knows its own geometry, so
the place of its tool follows from its encoders. Lengths in m, angles in rad; results in the base frame.
"""

from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.model import build_model
from robots.spec import RobotSpec

Array = Any
HINGE = int(mujoco.mjtJoint.mjJNT_HINGE)


@dataclass(frozen=True, kw_only=True)
class Link:
    """One joint of the chain and the rigid transform before it."""

    joint: int
    """Index into `RobotSpec.joints`."""
    is_hinge: bool
    offset: Array
    """(3,) from the previous link's frame to the joint's anchor."""
    still: Array
    """(3, 3) orientation of the link against the previous one, parts that do not turn with the joint."""
    sine: Array
    """(3, 3) part that grows with the sine of the joint angle."""
    cosine: Array
    """(3, 3) part that grows with one minus its cosine."""
    axis: Array
    """(3,) of the joint in the previous link's frame."""


@dataclass(frozen=True, kw_only=True)
class SerialChain:
    """From the base to the tool."""

    num_joints: int
    """Of the robot; those off the chain have no influence."""
    links: tuple[Link, ...]
    tool: Array
    """(3,) tool in the last link's frame."""

    def beside(self, xp: Any, like: Array) -> "SerialChain":
        """The same chain with its constants as arrays of `xp`, of the type and on the device of `like`."""

        def moved(values: Array) -> Array:
            return xp.asarray(values, dtype=like.dtype, device=like.device)

        numbers = ("offset", "still", "sine", "cosine", "axis")
        links = [replace(link, **{name: moved(getattr(link, name)) for name in numbers}) for link in self.links]
        return replace(self, links=tuple(links), tool=moved(self.tool))

    def tip(self, xp: Any, q: Array) -> Array:
        """Tool position, (..., 3); arguments are those of `tip_and_jacobian`."""
        return self._forward(xp, q)[0]

    def tip_and_jacobian(self, xp: Any, q: Array) -> tuple[Array, Array]:
        """Tool position, (..., 3), and its derivative by every joint, (..., num_joints, 3).

        Args:
            xp: Array namespace of `q`, numpy or that of `beside`.
            q: (..., num_joints) joint positions [rad].
        """
        tip, columns, levers = self._forward(xp, q)
        for j, lever in levers.items():
            columns[j] = xp.linalg.cross(columns[j], tip - lever)
        return tip, xp.stack(columns, -2)

    def _forward(self, xp: Any, q: Array) -> tuple[Array, list[Array], dict[int, Array]]:
        """Tool position, the axis of every joint, and where the hinges are."""
        rotation, place, nowhere = None, 0.0, xp.zeros_like(q[..., :1]) + xp.zeros_like(self.tool)
        axes, levers = [nowhere] * self.num_joints, {}
        sines, turns = xp.sin(q)[..., None, None], 1.0 - xp.cos(q)[..., None, None]
        for link in self.links:
            j = link.joint
            place = place + _turn(rotation, link.offset)
            axes[j] = nowhere + _turn(rotation, link.axis)
            if link.is_hinge:
                levers[j] = place
                own = link.still + sines[..., j, :, :] * link.sine + turns[..., j, :, :] * link.cosine
            else:
                place, own = place + axes[j] * q[..., j, None], link.still
            rotation = own if rotation is None else rotation @ own
        return place + _turn(rotation, self.tool), axes, levers


def serial_chain(spec: RobotSpec) -> SerialChain:
    """The chain of an arm, from its compiled model.

    Raises:
        ValueError: the robot names no end effector, or the file has no such site.
    """
    model = build_model(spec)
    names = [model.site(index).name for index in range(model.nsite)]
    if not spec.end_effector or spec.end_effector not in names:
        raise ValueError(
            f"robot {spec.name}: end_effector must be a site of {spec.mjcf_path}, got {spec.end_effector!r}; "
            f"its sites are {', '.join(names) or 'none'}"
        )
    site = model.site(spec.end_effector)
    bodies = _bodies(model, int(site.bodyid[0]), model.body(spec.base_body).id)
    links: list[Link] = []
    rotation, offset = np.eye(3), np.zeros(3)  # of the frame so far, in the last link's
    for body in bodies:
        offset = offset + rotation @ model.body_pos[body]
        rotation = rotation @ _matrix(model.body_quat[body])
        for joint in range(model.body_jntadr[body], model.body_jntadr[body] + model.body_jntnum[body]):
            name = model.joint(joint).name
            if name not in spec.joint_names:
                continue  # held, or passive: stays where it is
            anchor = model.jnt_pos[joint]
            links.append(_link(model, joint, spec.joint_names.index(name), offset + rotation @ anchor, rotation))
            rotation, offset = np.eye(3), -anchor
    return SerialChain(num_joints=spec.num_joints, links=tuple(links), tool=offset + rotation @ site.pos)


def _link(model: mujoco.MjModel, joint: int, index: int, offset: Array, rotation: Array) -> Link:
    axis, start = model.jnt_axis[joint], model.qpos0[model.jnt_qposadr[joint]]  # where the file draws the joint
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])  # Rodrigues' formula
    is_hinge = int(model.jnt_type[joint]) == HINGE
    if is_hinge:
        rotation = rotation @ (np.eye(3) - np.sin(start) * cross + (1.0 - np.cos(start)) * cross @ cross)
    else:
        offset = offset - start * (rotation @ axis)
    return Link(
        joint=index,
        is_hinge=is_hinge,
        offset=offset,
        still=rotation,
        sine=rotation @ cross,
        cosine=rotation @ cross @ cross,
        axis=rotation @ axis,
    )


def _bodies(model: mujoco.MjModel, body: int, base: int) -> list[int]:
    """From the one after the base to `body`; joints of the base itself come along."""
    chain: list[int] = []
    while body > 0 and body != base:
        chain.append(body)
        body = int(model.body_parentid[body])
    return chain[::-1]


def _matrix(quat: Array) -> NDArray[np.float64]:
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, quat)
    return matrix.reshape(3, 3)


def _turn(rotation: Array | None, vector: Array) -> Array:
    return vector if rotation is None else (rotation @ vector[..., None])[..., 0]
