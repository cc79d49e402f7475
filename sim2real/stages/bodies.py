"""What pictures show of bodies: where their joints are, and the descriptors whose values lie farthest apart.

A descriptor of a role is the mean over the role's joints; where a mirror turns its sign round, the mean of its
magnitude. Robots deviate from the mean over robots, as a share of the root mean square.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from robots.descriptors import CHANNELS, ROLES, descriptors
from robots.joint_space import joint_space
from robots.kinematics import Kinematics
from robots.spec import RobotSpec

MOST = 10
"""Descriptors that are told."""
MIRRORED = ("anchor_y", "axis_x", "axis_z")
"""Channels whose sign differs between left and right."""
SAME = 1e-3
"""Deviation that is none: of what is computed, not typed in."""
RANGES, FREE = ("range_back", "range_ahead"), math.pi
"""A joint that turns so far may as well turn for ever [rad]."""
KINDS = ("role_", "side_")
"""What is no number but a kind."""
LEAST = 0.01
"""Descriptors are numbers around 1: those that are smaller than this on all robots deviate as a share of this."""


def differences(specs: Sequence[RobotSpec]) -> list[dict[str, Any]]:
    """The descriptors that differ most, the farthest apart first; empty for robots without a common role.

    Returns:
        Mappings with `channel`, `role`, and `values` and `deviations`, one for each robot.
    """
    tables = [_by_role(descriptors(spec)) for spec in specs]
    shared = [role for role in ROLES if all(role in table for table in tables)]
    numbers = [column for column, channel in enumerate(CHANNELS) if not channel.startswith(KINDS)]
    told = [_told(role, column, [table[role][column] for table in tables]) for role in shared for column in numbers]
    apart = [one for one in told if max(map(abs, one["deviations"])) > SAME]
    return sorted(apart, key=lambda one: -float(np.std(one["deviations"])))[:MOST]


def _told(role: str, column: int, values: list[float]) -> dict[str, Any]:
    found = np.array(values)
    deviations = (found - found.mean()) / max(LEAST, float(np.sqrt(np.mean(found**2))))
    return {"channel": CHANNELS[column], "role": role, "values": found.tolist(), "deviations": deviations.tolist()}


def _by_role(table: np.ndarray) -> dict[str, np.ndarray]:
    """Role -> (channels,) mean over its joints."""
    sizes = table.copy()
    mirrored, ranges = ([CHANNELS.index(channel) for channel in group] for group in (MIRRORED, RANGES))
    sizes[:, mirrored] = np.abs(sizes[:, mirrored])
    sizes[:, ranges] = np.clip(sizes[:, ranges], -FREE, FREE)
    masks = {role: table[:, CHANNELS.index(f"role_{role}")] > 0.5 for role in ROLES}
    return {role: sizes[mask].mean(0) for role, mask in masks.items() if mask.any()}


def skeleton(spec: RobotSpec) -> dict[str, Any]:
    """Where the joints are in the nominal pose.

    Returns:
        `anchors`, (num_joints, 3) [L]; `parents`, for each joint the one that carries it, -1 for the base; and `limbs`,
        each with its `joints` from the base outward and its `tip` [L].
    """
    kinematics, length = Kinematics(spec), joint_space(spec).length
    limbs = kinematics.limbs()
    kinematics.pose(np.array(spec.default_positions))
    chains = [kinematics.chain_to(int(kinematics.model.jnt_bodyid[joint])) for joint in kinematics.joints]
    before = [chain[: chain.index(joint)] for joint, chain in enumerate(chains)]
    return {
        "anchors": [(kinematics.anchor(joint) / length).tolist() for joint in range(spec.num_joints)],
        "parents": [chain[-1] if chain else -1 for chain in before],
        "limbs": [{"joints": chain, "tip": (tip / length).tolist()} for chain, tip in limbs],
    }
