"""Robot specifications refuse nonsense, and robots are found by name or folder."""

import json
from dataclasses import replace

import pytest

import robots
from robots.joint_space import joint_space
from robots.model import build_model
from robots.spec import ActuatorSpec, EncoderSpec, ImuSpec, JointSpec, PassiveJointSpec, load_folder

SERVO = ActuatorSpec(kp=10.0, kd=1.0, torque_limit=5.0, velocity_limit=20.0)


def test_an_unknown_robot_lists_the_known():
    with pytest.raises(LookupError, match=r"no robot named 'go7'; there are .*go1.*robots/zoo/go7\.py"):
        robots.get("go7")


@pytest.mark.parametrize("field", ["kp", "torque_limit", "velocity_limit"])
def test_a_servo_without_strength_is_refused(field):
    with pytest.raises(ValueError, match=f"{field} must be > 0, got 0"):
        replace(SERVO, **{field: 0.0})


@pytest.mark.parametrize("field", ["kd", "armature", "damping", "friction_loss", "delay"])
def test_negative_physics_is_refused(field):
    with pytest.raises(ValueError, match=f"{field} must be >= 0, got -0.1"):
        replace(SERVO, **{field: -0.1})


def test_only_a_machine_has_joints_it_does_not_drive():
    loose = (PassiveJointSpec(name="finger"),)
    with pytest.raises(ValueError, match=r"must be empty on kind 'arm', got \['finger'\]; only a machine"):
        replace(robots.get("panda"), passive_joints=loose)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PassiveJointSpec(name="pole", damping=-0.1), "damping must be >= 0, got -0.1"),
        (lambda: ImuSpec(gyro_noise=-0.1), "gyro_noise must be >= 0, got -0.1"),
        (lambda: EncoderSpec(position_bias=-0.1), "position_bias must be >= 0, got -0.1"),
    ],
)
def test_negative_friction_and_noise_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_nominal_pose_outside_the_limits_is_refused():
    with pytest.raises(ValueError, match=r"joint knee: default_position must lie within \[-1.0, 0.0\] rad, got 0.5"):
        JointSpec(name="knee", position_limits=(-1.0, 0.0), default_position=0.5, actuator=SERVO)


def test_physics_must_divide_the_control_period():
    go1 = robots.get("go1")
    assert go1.substeps == 5  # 20 ms / 4 ms
    with pytest.raises(ValueError, match=r"must divide the control period 0.02 s, got 0.003 s \(6.667 substeps\)"):
        replace(go1, physics_dt=0.003)


def test_joint_names_differ():
    go1 = robots.get("go1")
    with pytest.raises(ValueError, match="joint names must differ"):
        replace(go1, joints=(go1.joints[0], go1.joints[0]))


def test_a_changed_gain_changes_the_model_hash():
    go1 = robots.get("go1")
    first = replace(go1.joints[0], actuator=replace(go1.joints[0].actuator, kp=36.0))
    assert replace(go1, joints=(first, *go1.joints[1:])).model_hash != go1.model_hash


def test_a_misspelt_key_in_a_folder_names_the_right_one(tmp_path):
    robots.get("go1").save_folder(tmp_path)
    record = json.loads((tmp_path / "robot.json").read_text())
    record["defualt_height"] = record.pop("default_height")
    (tmp_path / "robot.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="unknown key 'defualt_height', did you mean 'default_height'"):
        load_folder(tmp_path)


def test_a_folder_of_a_newer_schema_is_refused(tmp_path):
    robots.get("go1").save_folder(tmp_path)
    record = json.loads((tmp_path / "robot.json").read_text())
    (tmp_path / "robot.json").write_text(json.dumps({**record, "schema": 2}))
    with pytest.raises(ValueError, match="schema must be 1, got 2; update sim2real"):
        load_folder(tmp_path)


def test_a_joint_the_mjcf_lacks_names_the_nearest():
    go1 = robots.get("go1")
    wrong = replace(go1.joints[0], name="FL_hipp_joint")
    with pytest.raises(ValueError, match=r"no joint 'FL_hipp_joint' in .*did you mean 'FL_hip_joint'"):
        build_model(replace(go1, joints=(wrong, *go1.joints[1:])))


def test_a_base_or_foot_the_mjcf_lacks_is_refused():
    go1 = robots.get("go1")
    with pytest.raises(ValueError, match=r"no body 'trank' in .*did you mean 'trunk'"):
        build_model(replace(go1, base_body="trank"))
    with pytest.raises(ValueError, match=r"no geom 'toe' for a foot in "):
        build_model(replace(go1, feet=(replace(go1.feet[0], name="toe"),)))


def test_feet_in_another_order_are_refused():
    go1 = robots.get("go1")
    with pytest.raises(ValueError, match=r"feet must be two, four or six, in pairs .* got \['RR', 'RL', 'FR', 'FL'\]"):
        joint_space(replace(go1, feet=go1.feet[::-1]))
