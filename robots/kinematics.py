"""Where joints, feet and tool of a robot are: kinematics in the base frame, x forward, y left, z up. SI."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.model import build_model, foot_geom_ids, joint_qpos_indices
from robots.spec import RobotSpec

Array = NDArray[np.float64]


class Kinematics:
    """Foot positions in the base frame as a function of the joint angles; starts in the nominal pose."""

    def __init__(self, spec: RobotSpec) -> None:
        self.spec = spec
        self.model = build_model(spec)
        self.data = mujoco.MjData(self.model)
        self.base = self.model.body(spec.base_body).id
        self.feet = foot_geom_ids(self.model, spec)
        self.joints = [self.model.joint(name).id for name in spec.joint_names]
        self.pose(np.array(spec.default_positions))

    def pose(self, q: Array) -> None:
        self.data.qpos = self.model.key_qpos[0]
        self.data.qpos[joint_qpos_indices(self.model, self.spec)] = q
        mujoco.mj_kinematics(self.model, self.data)

    def foot(self, leg: int, q: Array) -> Array:
        """(3,) centre of a foot in the base frame."""
        self.pose(q)
        return self.to_base(self.data.geom_xpos[self.feet[leg]])

    def to_base(self, point: Array) -> Array:
        rotation = self.data.xmat[self.base].reshape(3, 3)
        return rotation.T @ (point - self.data.xpos[self.base])

    def axis(self, joint: int) -> Array:
        """(3,) axis of a joint in the base frame."""
        return self.data.xmat[self.base].reshape(3, 3).T @ self.data.xaxis[self.joints[joint]]

    def anchor(self, joint: int) -> Array:
        return self.to_base(self.data.xanchor[self.joints[joint]])

    def chain(self, leg: int) -> list[int]:
        """Joints (canonical indices) that move a foot and, unlike a waist, no other one, from the base outward."""
        chains = [self.chain_to(int(self.model.geom_bodyid[foot])) for foot in self.feet]
        others = {joint for other, chain in enumerate(chains) if other != leg for joint in chain}
        return [joint for joint in chains[leg] if joint not in others]

    def chain_to(self, body: int) -> list[int]:
        """Joints (canonical indices) that move a body, from the root outward."""
        chain: list[int] = []
        while body != 0:
            first, count = self.model.body_jntadr[body], self.model.body_jntnum[body]
            own = [self.joints.index(joint) for joint in range(first, first + count) if joint in self.joints]
            chain = own + chain
            body = int(self.model.body_parentid[body])
        return chain

    def turning_about(self, axis: int, chain: list[int]) -> list[int]:
        """The joints of a chain that turn mainly about x, y or z of the base (0, 1, 2), in the pose it is in."""
        return [joint for joint in chain if int(np.argmax(np.abs(self.axis(joint)))) == axis]

    def limbs(self) -> list[tuple[list[int], Array]]:
        """Chain of joints and place of its end, in the base frame: of every leg, or of the arm's tool."""
        if len(self.feet) == 0:
            body, place = self.tip()
            return [(self.chain_to(body), place)]
        return [(self.chain(leg), self.to_base(self.data.geom_xpos[foot])) for leg, foot in enumerate(self.feet)]

    def moved_by(self, joint: int) -> list[int]:
        """Joints (canonical indices) that a joint carries, the nearest first."""
        bodies = [int(self.model.jnt_bodyid[other]) for other in self.joints]
        chains = {other: self.chain_to(body) for other, body in enumerate(bodies) if other != joint}
        carried = {other: len(chain) for other, chain in chains.items() if joint in chain and chain[-1] != joint}
        return sorted(carried, key=lambda other: carried[other])

    def tip(self) -> tuple[int, Array]:
        """Body of an arm's tool and the tool's place in the base frame; the last link and its centre without a tool."""
        if self.spec.end_effector:
            site = self.model.site(self.spec.end_effector).id
            return int(self.model.site_bodyid[site]), self.to_base(self.data.site_xpos[site])
        body = int(self.model.jnt_bodyid[self.joints[-1]])
        return body, self.to_base(self.data.xipos[body])
