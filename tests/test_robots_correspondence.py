"""Which joint of one robot does what a joint of another does: never by names, never by order."""

import math
from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import pytest
from scrambled import scrambled

import robots
from policies.symmetry import mirrored_joints
from robots.anatomy import Anatomy
from robots.assignment import assign
from robots.correspondence import LIMIT, Comparison, arranged, correspondence
from robots.descriptors import descriptors
from robots.joint_space import joint_space
from robots.similarity import scaled

FAMILY = ("quadruped:legs=6", "quadruped:joints_per_leg=2", "arm:links=4", "arm:links=7")
LEGS = ("FL", "FR", "RL", "RR")


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SIM2REAL_CACHE_DIR", str(tmp_path / "cache"))


def matched(source: str, target: str) -> dict[str, tuple[str, int]]:
    """Partner and sign of each joint of `source` that has one."""
    found = correspondence(robots.get(source), robots.get(target)).as_dict()
    return {pair["source"]: (pair["target"], pair["sign"]) for pair in found["pairs"]}


@pytest.mark.parametrize("name", [*robots.names(), *FAMILY])
def test_a_robot_in_disguise_is_recognized_joint_by_joint(name, tmp_path):
    spec = robots.get(name)
    other, order, signs = scrambled(spec, tmp_path, np.random.default_rng(1))
    found = correspondence(spec, other)
    told = [(pair.target, pair.sign) for pair in found.pairs]
    assert [pair.source for pair in found.pairs] == list(range(spec.num_joints))
    assert told == [(order.index(joint), signs[order.index(joint)]) for joint in range(spec.num_joints)]
    assert max(pair.distance for pair in found.pairs) < 1e-6
    assert min(pair.confidence for pair in found.pairs) > 0.99
    assert found.distance < 1e-6


@pytest.mark.parametrize("name", ["anymal_c", "g1", "panda"])
def test_it_is_recognized_in_another_size_with_other_motors_and_in_another_pose(name, tmp_path):
    rng = np.random.default_rng(2)
    spec = robots.get(name)
    other, order, signs = scrambled(scaled(spec, tmp_path, length=2.0, mass=7.0, gravity=0.5), tmp_path / "s", rng)
    joints = []
    for joint in other.joints:
        position = float(np.clip(joint.default_position + rng.uniform(-0.25, 0.25), *joint.position_limits))
        actuator = replace(joint.actuator, torque_limit=joint.actuator.torque_limit * rng.uniform(0.5, 2.0))
        joints.append(replace(joint, default_position=position, actuator=actuator))
    found = correspondence(spec, replace(other, joints=tuple(joints)))
    right = [pair for pair in found.pairs if (order[pair.target], signs[pair.target]) == (pair.source, pair.sign)]
    assert len(right) == spec.num_joints
    assert found.distance > 0.01


def test_a_similar_robot_is_no_distance_away(tmp_path):
    spec = robots.get("go2")
    assert correspondence(spec, scaled(spec, tmp_path, length=1.7, mass=3.1, gravity=0.6)).distance < 1e-9


def test_legs_of_a_go1_and_an_anymal_pair_up_by_side_and_end():
    parts = {"hip": "HAA", "thigh": "HFE", "calf": "KFE"}
    theirs = {"FL": "LF", "FR": "RF", "RL": "LH", "RR": "RH"}
    expected = {f"{leg}_{part}_joint": (f"{theirs[leg]}_{parts[part]}", 1) for leg in LEGS for part in parts}
    assert matched("go1", "anymal_c") == expected


def test_eight_joints_of_twelve_have_a_partner_and_the_rest_has_none():
    found = correspondence(robots.get("go1"), robots.get("quadruped:joints_per_leg=2")).as_dict()
    assert [(pair["source"], pair["target"]) for pair in found["pairs"]] == [
        (f"{leg}_{part}_joint", f"{leg}_{part}_joint") for leg in LEGS for part in ("thigh", "calf")
    ]
    assert found["unmatched_source"] == [f"{leg}_hip_joint" for leg in LEGS]
    assert found["unmatched_target"] == []


def test_the_middle_legs_of_a_hexapod_have_no_partner_on_a_quadruped():
    found = correspondence(robots.get("quadruped"), robots.get("quadruped:legs=6")).as_dict()
    assert all(pair["source"] == pair["target"] for pair in found["pairs"])
    assert {name[:2] for name in found["unmatched_target"]} == {"ML", "MR"}


def test_two_humanoids_share_hips_knees_ankles_waist_and_shoulders():
    pairs = matched("g1", "t1")
    for side in ("left", "right"):
        for ours, theirs in (
            ("hip_pitch", "Hip_Pitch"),
            ("hip_roll", "Hip_Roll"),
            ("hip_yaw", "Hip_Yaw"),
            ("knee", "Knee_Pitch"),
            ("ankle_pitch", "Ankle_Pitch"),
            ("ankle_roll", "Ankle_Roll"),
            ("shoulder_pitch", "Shoulder_Pitch"),
            ("shoulder_roll", "Shoulder_Roll"),
            ("shoulder_yaw", "Elbow_Pitch"),  # which turns the upper arm about itself once the arms hang
            ("elbow", "Elbow_Yaw"),  # and this one bends the elbow
        ):
            assert pairs[f"{side}_{ours}_joint"][0] == f"{side.title()}_{theirs}"
    # a g1's waist carries the chest, a t1's the legs: turning left on the feet is turning the legs to the right
    assert pairs["waist_yaw_joint"] == ("Waist", -1)


def test_arms_pair_up_by_what_a_joint_does_for_the_tool():
    assert matched("so101", "panda") == {
        "shoulder_pan": ("joint1", -1),  # about -z and about z
        "shoulder_lift": ("joint2", 1),
        "elbow_flex": ("joint4", -1),  # about y and about -y
        "wrist_flex": ("joint6", -1),
        "wrist_roll": ("joint7", -1),  # away from the tool and towards it
    }


def test_the_base_of_an_arm_may_look_anywhere(tmp_path):
    spec = robots.get("ur5e")
    pan = spec.joints[0]
    turned = replace(spec, joints=(replace(pan, default_position=pan.default_position + 1.2), *spec.joints[1:]))
    found = correspondence(spec, turned)
    assert [(pair.target, pair.sign) for pair in found.pairs] == [(joint, 1.0) for joint in range(6)]
    assert max(pair.distance for pair in found.pairs) < 0.01


def test_knees_that_bend_the_other_way_stretch_the_leg_with_the_other_sign():
    spec = robots.get("anymal_c")
    q = np.array(spec.default_positions)
    q[6:] *= -1.0  # the X of the makers: hind knees point forward
    other = replace(
        spec, joints=tuple(replace(joint, default_position=float(p)) for joint, p in zip(spec.joints, q, strict=True))
    )
    signs = [pair.sign for pair in correspondence(spec, other).pairs]
    assert signs == [1.0] * 6 + [1.0, 1.0, -1.0] * 2  # abduct, swing, extend


@pytest.mark.parametrize(("one", "two"), [("go1", "g1"), ("g1", "t1"), ("go1", "anymal_c"), ("so101", "ur5e")])
def test_it_does_not_matter_which_robot_is_asked_first(one, two):
    there = correspondence(robots.get(one), robots.get(two))
    back = correspondence(robots.get(two), robots.get(one))
    pairs = [(pair.source, pair.target, pair.sign) for pair in there.pairs]
    assert pairs == sorted((pair.target, pair.source, pair.sign) for pair in back.pairs)
    assert there.distance == pytest.approx(back.distance)


@pytest.mark.parametrize(("one", "two"), [("g1", "t1"), ("go1", "anymal_c"), ("quadruped:joints_per_leg=2", "go1")])
def test_left_and_right_are_paired_alike(one, two):
    ours, theirs = Anatomy(robots.get(one)).mirrored(), Anatomy(robots.get(two)).mirrored()
    pairs = {(pair.source, pair.target): pair for pair in correspondence(robots.get(one), robots.get(two)).pairs}
    assert {(ours[source], theirs[target]) for source, target in pairs} == set(pairs)
    for (source, target), pair in pairs.items():
        assert pairs[ours[source], theirs[target]].distance == pytest.approx(pair.distance)


@pytest.mark.parametrize("name", ["go1", "anymal_c", "g1", "t1", "quadruped:legs=6"])
def test_limbs_mirror_each_other_as_anchors_and_axes_do(name):
    assert Anatomy(robots.get(name)).mirrored() == mirrored_joints(robots.get(name))[0]


def test_nearer_robots_have_a_smaller_distance():
    def distance(other):
        return correspondence(robots.get("go1"), robots.get(other)).distance

    assert 0.0 == distance("go1") < distance("go2") < distance("anymal_c") < distance("g1") < LIMIT


def test_a_pair_that_could_as_well_be_another_says_so():
    # a biped's legs stand where neither end of a go1 is: front and rear legs are equally far
    found = correspondence(robots.get("go1"), robots.get("g1"))
    assert {found.source.joint_names[pair.source][3:] for pair in found.pairs} <= {
        "hip_joint",
        "thigh_joint",
        "calf_joint",
    }
    assert max(pair.confidence for pair in found.pairs) < 0.05


@pytest.mark.parametrize(
    ("one", "two", "reason"),
    [
        ("go1", "panda", r"go1 \(quadruped\) has 4 legs that abduct, swing, extend, panda \(arm\) has no legs"),
        ("panda", "cartpole", r"compare two legged robots, two arms, or two machines with joints of one kind"),
        ("cartpole", "pendulum", r"cartpole \(machine\) has no legs; slides in 1 joint"),
    ],
)
def test_robots_without_common_roles_are_refused(one, two, reason):
    with pytest.raises(ValueError, match=rf"{one} and {two} have no common roles: .*{reason}"):
        correspondence(robots.get(one), robots.get(two))


def test_a_hinge_is_never_a_slide():
    comparison = Comparison(robots.get("cartpole"), robots.get("acrobot"))
    assert comparison.distance[0, 0] == math.inf


def test_joints_put_in_order_are_the_same_robot_to_a_policy(tmp_path):
    spec = robots.get("go1")
    other, _, _ = scrambled(spec, tmp_path, np.random.default_rng(3))
    ordered = arranged(correspondence(spec, other))
    assert joint_space(other).role != joint_space(spec).role == joint_space(ordered).role
    assert joint_space(ordered).leg == joint_space(spec).leg
    np.testing.assert_allclose(joint_space(ordered).lift, np.array(joint_space(spec).lift) * flips(spec, ordered))
    np.testing.assert_allclose(descriptors(ordered), descriptors(spec), atol=1e-9)


def flips(spec, other) -> np.ndarray:
    """(num_joints,) -1 where a joint of `other` counts the other way."""
    return np.array([pair.sign for pair in correspondence(spec, other).pairs])


def test_joints_without_a_partner_come_last():
    eight, twelve = robots.get("quadruped:joints_per_leg=2"), robots.get("go1")
    ordered = arranged(correspondence(eight, twelve))
    assert ordered.joint_names[:8] == eight.joint_names
    assert ordered.joint_names[8:] == tuple(f"{leg}_hip_joint" for leg in LEGS)


def test_an_arm_whose_joints_count_the_other_way_is_not_put_in_order(tmp_path):
    with pytest.raises(ValueError, match=r"joints joint1, joint4, joint6, joint7 of panda count the other way .*MJCF"):
        arranged(correspondence(robots.get("so101"), robots.get("panda")))
    arm = robots.get("arm:links=4")
    other = replace(arm, joints=arm.joints[::-1])
    assert arranged(correspondence(arm, other)).joint_names == arm.joint_names


def test_pairs_are_the_cheapest_of_all():
    rng = np.random.default_rng(0)
    for _ in range(200):
        rows, columns = rng.integers(0, 5), rng.integers(1, 5)
        cost, limit = rng.normal(size=(rows, columns)), float(rng.normal())
        cost[rng.random((rows, columns)) < 0.1] = math.inf
        choices = [
            sum(cost[pair] - limit for pair in zip(some, others, strict=True))
            for size in range(min(rows, columns) + 1)
            for some in combinations(range(rows), size)
            for others in permutations(range(columns), size)
        ]
        pairs = assign(cost, limit)
        assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
        assert sum(cost[pair] - limit for pair in pairs) == pytest.approx(min(choices))


def test_what_costs_too_much_is_left_alone():
    cost = np.array([[0.1, 0.2], [0.15, 0.9]])
    assert assign(cost, 0.5) == [(0, 1), (1, 0)]  # 0.2 + 0.15 is less than 0.1 + 0.9
    assert assign(cost, 0.18) == [(0, 0)]  # (0.1 - 0.18) beats (0.15 - 0.18); 0.2 is too dear
