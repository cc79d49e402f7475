"""The limbs of a robot: chains of joints, found in the kinematic tree.

A leg ends at a foot, an arm at the tool of a robot without legs. Every other chain ends at a body that carries no
further joint: a humanoid's arms and head, the jaw of an arm's gripper. What several limbs of a legged robot share is
its trunk. Each joint belongs to one limb. Places are read in the nominal pose, in the base frame.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from robots.joint_space import joint_space, sides
from robots.kinematics import Kinematics

Array = NDArray[np.float64]
Kind = Literal["leg", "trunk", "arm", "limb"]


@dataclass(frozen=True)
class Limb:
    """A chain of joints."""

    kind: Kind
    joints: tuple[int, ...]
    """Canonical numbers, from the base outward."""
    tip: Array
    """(3,) its end [m]."""
    place: Array
    """(3,) where it grows out of the robot.

    Of a leg or limb of a legged robot: from rear, -1, to front, 1, which only legs know, and only where there are more
    than two; from right, -1, to left, 1; height over the hips [L]. Of what grows out of an arm: how far out, 1 at the
    arm's end, 0, 0. Otherwise 0, 0, 0.
    """


def limbs(kinematics: Kinematics) -> list[Limb]:
    """All limbs of a robot in the nominal pose; legs first, in the order of its feet, or the arm."""
    return _legged(kinematics) if kinematics.spec.feet else _fixed(kinematics)


def _legged(kinematics: Kinematics) -> list[Limb]:
    feet = [int(kinematics.model.geom_bodyid[foot]) for foot in kinematics.feet]
    chains = [kinematics.chain_to(body) for body in feet]
    leaves = _leaves(kinematics, {joint for chain in chains for joint in chain})
    chains += [_chain(kinematics, leaf) for leaf in leaves]
    own = [[joint for joint in chain if sum(joint in other for other in chains) == 1] for chain in chains]
    tips = [tip for _, tip in kinematics.limbs()] + [_end(kinematics, leaf) for leaf in leaves]
    kinds: list[Kind] = ["leg" if index < len(feet) else "limb" for index in range(len(chains))]
    places = _places(kinematics, own, len(feet))
    found = [Limb(*parts) for parts in zip(kinds, map(tuple, own), tips, places, strict=True) if parts[1]]
    shared = {joint for chain in chains for joint in chain} - {joint for chain in own for joint in chain}
    return found + ([_trunk(kinematics, shared)] if shared else [])


def _fixed(kinematics: Kinematics) -> list[Limb]:
    """The chain to the tool, then what else grows out of the robot."""
    body, tip = kinematics.tip()
    main = kinematics.chain_to(body)
    found = [Limb("arm", tuple(main), tip, np.zeros(3))]
    for leaf in _leaves(kinematics, set(main)):
        chain = _chain(kinematics, leaf)
        own = [joint for joint in chain if all(joint not in limb.joints for limb in found)]
        out = sum(joint in main for joint in chain) / len(main)
        found.append(Limb("limb", tuple(own), _end(kinematics, leaf), np.array([out, 0.0, 0.0])))
    return found


def _trunk(kinematics: Kinematics, joints: set[int]) -> Limb:
    """Its end is the middle of the joints that it carries."""
    chain = sorted(joints, key=lambda joint: -len(kinematics.moved_by(joint)))
    carried = {other for joint in joints for other in kinematics.moved_by(joint)} - joints
    tip = np.mean([kinematics.anchor(joint) for joint in sorted(carried)], axis=0)
    return Limb("trunk", tuple(chain), tip, np.zeros(3))


def _places(kinematics: Kinematics, chains: list[list[int]], num_legs: int) -> list[Array]:
    """Of the limbs of a legged robot; legs are told apart by their order from front to rear, whatever the body."""
    space = joint_space(kinematics.spec)
    side = sides(kinematics, space.leg, space.length)
    roots = np.array([kinematics.anchor(chain[0]) if chain else np.zeros(3) for chain in chains])
    hips = roots[:num_legs].mean(axis=0)
    reach = np.abs(roots[:num_legs, 0] - hips[0]).max() if num_legs > 2 else 0.0
    places = []
    for index, chain in enumerate(chains):
        leg = index < num_legs
        front = (roots[index, 0] - hips[0]) / reach if leg and reach > 0.0 else 0.0
        height = 0.0 if leg else (roots[index, 2] - hips[2]) / space.length
        places.append(np.array([front, side[chain[0]] if chain else 0.0, height]))
    return places


def _leaves(kinematics: Kinematics, taken: set[int]) -> list[int]:
    """Joints outside `taken` that carry no further one."""
    rest = [joint for joint in range(kinematics.spec.num_joints) if joint not in taken]
    return [joint for joint in rest if not kinematics.moved_by(joint)]


def _chain(kinematics: Kinematics, joint: int) -> list[int]:
    return kinematics.chain_to(_body(kinematics, joint))


def _end(kinematics: Kinematics, leaf: int) -> Array:
    """(3,) end of the last body of a limb, whose centre of mass is taken for its middle."""
    centre = kinematics.to_base(kinematics.data.xipos[_body(kinematics, leaf)])
    return 2.0 * centre - kinematics.anchor(leaf)


def _body(kinematics: Kinematics, joint: int) -> int:
    return int(kinematics.model.jnt_bodyid[kinematics.joints[joint]])
