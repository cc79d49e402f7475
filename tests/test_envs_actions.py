"""From dimensionless actions to joint targets: lift, limits and semantic signs."""

import numpy as np
import pytest
import torch

import robots
from envs.actions import ACTION_CLIP, ACTION_SCALE, joint_targets
from robots.joint_space import joint_space
from robots.kinematics import Kinematics

LEGGED = [name for name in robots.names() if robots.get(name).feet]
TWO_LEGS = {  # one joint of a leg that swings first, one of a leg that swings second
    "default_position": np.array([0.5, -0.5]),
    "action_scale": np.array([0.35, -0.35]),
    "lift": np.array([0.2, 0.4]),
    "leg_sign": np.array([1.0, -1.0]),
    "low": np.array([-1.0, -1.0]),
    "high": np.array([1.0, 1.0]),
}
STANDING = np.zeros(2)


def target(action: tuple[float, float], clock: np.ndarray) -> np.ndarray:
    return joint_targets(np, np.array(action), clock, **TWO_LEGS)


def test_no_action_while_standing_is_the_nominal_pose():
    np.testing.assert_allclose(target((0.0, 0.0), STANDING), (0.5, -0.5))


def test_only_swinging_legs_lift():
    first, second = np.array([1.0, 0.0]), np.array([-0.5, 0.8660254])
    np.testing.assert_allclose(target((0.0, 0.0), first), (0.7, -0.5))  # 0.5 + 0.2 · 1
    np.testing.assert_allclose(target((0.0, 0.0), second), (0.5, -0.3))  # −0.5 + 0.4 · 0.5


def test_an_action_moves_a_joint_by_its_signed_scale():
    np.testing.assert_allclose(target((1.0, 1.0), STANDING), (0.85, -0.85))


def test_targets_keep_to_the_limits_and_actions_are_clipped():
    np.testing.assert_allclose(target((9.0, 9.0), STANDING), (1.0, -1.0))
    wide = {**TWO_LEGS, "low": np.full(2, -99.0), "high": np.full(2, 99.0)}
    found = joint_targets(np, np.array([9.0, -9.0]), STANDING, **wide)
    np.testing.assert_allclose(found, (0.5 + 0.35 * ACTION_CLIP, -0.5 + 0.35 * ACTION_CLIP))


def test_torch_and_numpy_give_the_same_targets():
    generator = np.random.default_rng(0)
    action, phase = generator.normal(size=(6, 2)).astype(np.float32), generator.uniform(0.0, 6.28, 6)
    clock = np.stack([np.sin(phase), np.cos(phase)], -1).astype(np.float32)
    constants = {name: value.astype(np.float32) for name, value in TWO_LEGS.items()}
    tensors = {name: torch.from_numpy(value) for name, value in constants.items()}
    in_torch = joint_targets(torch, torch.from_numpy(action), torch.from_numpy(clock), **tensors)
    in_numpy = joint_targets(np, action, clock, **constants)
    assert in_numpy.dtype == np.float32
    np.testing.assert_allclose(in_torch.numpy(), in_numpy, atol=1e-6)


@pytest.mark.parametrize("name", LEGGED)
def test_a_positive_action_swings_forward_extends_and_abducts_outward_on_every_robot(name):
    spec, kinematics = robots.get(name), Kinematics(robots.get(name))
    space, nominal = joint_space(spec), np.array(spec.default_positions)
    for joint, (leg, role) in enumerate(zip(space.leg, space.role, strict=True)):
        if leg < 0 or role == "other":
            continue
        action = np.zeros(spec.num_joints)
        action[joint] = 0.1
        moved = joint_targets(
            np,
            action,
            STANDING,
            default_position=nominal,
            action_scale=ACTION_SCALE * np.array(space.sign),
            lift=np.array(space.lift),
            leg_sign=np.array(space.leg_sign),
            low=np.array([j.position_limits[0] for j in spec.joints]),
            high=np.array([j.position_limits[1] for j in spec.joints]),
        )
        before, after = kinematics.foot(leg, nominal), kinematics.foot(leg, moved)
        swing = space.role.index("swing", space.leg.index(leg))
        hip = kinematics.anchor(swing)  # does not move with swing or extension
        gain = {
            "swing": after[0] - before[0],
            "abduct": (after[1] - before[1]) * np.sign(before[1]),
            "extend": np.linalg.norm(after - hip) - np.linalg.norm(before - hip),
        }
        assert gain[role] > 0.0, (name, spec.joint_names[joint], role)
