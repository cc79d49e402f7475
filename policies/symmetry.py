"""Left and right: what a legged robot sees and does, as its mirror image would.

A robot that is its own mirror image in the plane y = 0 of its base gains a second sample from every one (Mittal et al.
2024, arXiv:2403.04359). Which joint mirrors which, and with which sign, follows from anchors and axes in the compiled
model; what a channel becomes follows from what its term is. Nothing here knows a robot.
"""

from dataclasses import dataclass

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray

from envs.observations import Term
from envs.randomization import PARAMETERS
from envs.randomization.terms import MODEL_TERMS
from envs.worlds import Worlds
from robots.joint_space import joint_space
from robots.kinematics import Kinematics
from robots.spec import RobotSpec

Array = NDArray[np.float64]
Image = tuple[list[int], list[float]]
"""For each channel of a term: the channel its image's number comes from, and the sign it takes."""
POLAR, AXIAL = (1.0, -1.0, 1.0), (-1.0, 1.0, -1.0)
"""Signs of a vector (x, y, z) that is a place or a velocity, and of one that is a rate of turning."""
NEAR = 0.05
"""How far two joints may be from being mirror images, in units of L and in the sine of an angle."""


@dataclass(frozen=True)
class Mirror:
    """Observations and actions as the mirror image has them; mirroring twice gives back what was."""

    channels: torch.Tensor
    """(width,) long: where each channel's number comes from."""
    gains: torch.Tensor
    """(width,)."""
    shifts: torch.Tensor
    """(width,)."""
    joints: torch.Tensor
    """(num_joints,) long: the joint on the other side."""
    signs: torch.Tensor
    """(num_joints,) of a dimensionless action."""

    @staticmethod
    def of(worlds: Worlds, device: torch.device | str = "cpu") -> "Mirror":
        """The mirror of the robot in `worlds`.

        Raises:
            ValueError: the robot has no legs or no mirror image in itself, or a term says nothing of left and right.
        """
        spec, terms = worlds.spec, worlds.terms
        joints, signs = mirrored_joints(spec)
        fields = (*_affine(terms, joints, signs, len(spec.feet)), joints, signs)
        return Mirror(*(torch.tensor(values, device=device) for values in fields))

    def observation(self, raw: torch.Tensor) -> torch.Tensor:
        """(..., width) raw observations of the mirror image."""
        return raw[..., self.channels] * self.gains + self.shifts

    def action(self, action: torch.Tensor) -> torch.Tensor:
        """(..., num_joints) dimensionless actions of the mirror image."""
        return action[..., self.joints] * self.signs


def _affine(
    terms: tuple[Term, ...], joints: list[int], signs: list[float], num_feet: int
) -> tuple[list[int], list[float], list[float]]:
    """Source, gain and shift of every channel, in raw units."""
    sources, gains, shifts, first = list[int](), list[float](), list[float](), 0
    for term in terms:
        for channel, (source, sign) in enumerate(zip(*_image(term, joints, signs, num_feet), strict=True)):
            gain = sign * term.scale[source] / term.scale[channel]
            sources.append(first + source)
            gains.append(gain)
            shifts.append(term.offset[channel] - gain * term.offset[source])
        first += term.width
    return sources, gains, shifts


def _image(term: Term, joints: list[int], signs: list[float], num_feet: int) -> Image:
    """How the channels of a term mirror, in dimensionless numbers."""
    vectors: dict[str, tuple[float, ...]] = {
        "gravity": POLAR,
        "base_velocity": POLAR,
        "gyro": AXIAL,
        "command": (1.0, -1.0, -1.0),  # forward, to the left, turning to the left
        "clock": (-1.0, -1.0),  # neighbours step half a period apart
        "base_height": (1.0,),
        "hidden_parameters": hidden_signs(),
    }
    if term.name in vectors:
        return list(range(term.width)), list(vectors[term.name])
    if term.name in ("joint_pos", "joint_vel", "previous_target") and term.width == len(joints):
        return joints, signs
    if term.name in ("foot_heights", "foot_contacts") and term.width == num_feet:
        return [foot ^ 1 for foot in range(num_feet)], [1.0] * num_feet  # feet come in pairs, left before right
    raise ValueError(
        f"observation term {term.name!r} ({term.width} channels) has no known mirror image; add it to "
        "policies.symmetry, or train with mirror: false"
    )


def hidden_signs() -> tuple[float, ...]:
    """Of the hidden parameters: those that add to the y of a vector turn round."""
    known = {parameter.name: parameter for parameter in MODEL_TERMS}

    def sideways(name: str) -> bool:
        claims = known[name].claims if name in known else ()
        return bool(claims) and all(claim.columns == (1,) and claim.operation == "add" for claim in claims)

    return tuple(-1.0 if sideways(name) else 1.0 for name in PARAMETERS)


def mirrored_joints(spec: RobotSpec) -> tuple[list[int], list[float]]:
    """The joint on the other side of each joint, and the sign that a dimensionless angle takes on the way.

    Raises:
        ValueError: the robot has no legs, or a joint has no counterpart.
    """
    if not spec.feet:
        raise ValueError(
            f"only legged robots have a left and a right, {spec.name} is of kind {spec.kind}; set mirror: false"
        )
    kinematics, space = Kinematics(spec), joint_space(spec)
    partners = [_partner(kinematics, joint, space.length) for joint in range(spec.num_joints)]
    if any(partners[partner] != joint for joint, partner in enumerate(partners)):
        raise ValueError(f"joints of {spec.name} do not pair up into left and right; set mirror: false")
    turned = [_reflected_axis(kinematics, joint) @ kinematics.axis(partner) for joint, partner in enumerate(partners)]
    signs = [
        float(np.sign(same)) * space.sign[joint] * space.sign[partner]
        for joint, (partner, same) in enumerate(zip(partners, turned, strict=True))
    ]
    return partners, signs


def _partner(kinematics: Kinematics, joint: int, length: float) -> int:
    place = kinematics.anchor(joint) * np.array(POLAR)
    axis = _reflected_axis(kinematics, joint)
    away = [
        max(
            float(np.linalg.norm(kinematics.anchor(other) - place)) / length,
            float(np.linalg.norm(np.cross(kinematics.axis(other), axis))),
        )
        for other in range(kinematics.spec.num_joints)
    ]
    nearest = int(np.argmin(away))
    if away[nearest] > NEAR:
        name = kinematics.spec.joint_names[joint]
        raise ValueError(
            f"joint {name!r} of {kinematics.spec.name} has no counterpart on the other side (the nearest is off by "
            f"{away[nearest]:.2g} L); set mirror: false"
        )
    return nearest


def _reflected_axis(kinematics: Kinematics, joint: int) -> Array:
    """Axis about which the mirror image of a joint turns, or along which it slides, by the same amount."""
    slides = kinematics.model.jnt_type[kinematics.joints[joint]] == mujoco.mjtJoint.mjJNT_SLIDE
    return kinematics.axis(joint) * np.array(POLAR if slides else AXIAL)
