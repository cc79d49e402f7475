"""Motors in the simulator: a flywheel on one joint, 12 N·m and 20 rad/s, beside what one works out by hand."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

import robots
from robots.actuation import BACK_EMF, KP, RESISTANCE, SUPPLY
from robots.model import build_model, default_data, edit_model
from robots.spec import ActuatorSpec, JointSpec, RobotSpec

WHEEL = """
<mujoco>
  <option gravity="0 0 0"/>
  <worldbody>
    <body name="base">
      <geom size="0.05" contype="0" conaffinity="0"/>
      <body name="wheel">
        <joint name="joint" axis="0 1 0"/>
        <inertial pos="0 0 0" mass="1" diaginertia="0.02 0.02 0.02"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""
SERVO = ActuatorSpec(kp=40.0, kd=1.0, torque_limit=12.0, velocity_limit=20.0, armature=0.004)
MOTOR = ActuatorSpec(control="torque", torque_limit=12.0, velocity_limit=20.0, armature=0.004)


@pytest.fixture
def wheel(tmp_path):
    """Compiles the flywheel with a motor."""
    path = tmp_path / "wheel.xml"
    path.write_text(WHEEL)

    def build(actuator, **options):
        joint = JointSpec(name="joint", position_limits=(-1e4, 1e4), default_position=0.0, actuator=actuator)
        spec = RobotSpec(
            name="wheel", kind="machine", mjcf=str(path), base_body="base", joints=(joint,), default_height=0.0,
            length=1.0, mass=1.5,
        )  # fmt: skip
        return build_model(spec, **options)

    return build


def torque(model, *, speed, ctrl, angle=0.0):
    """What the motor gives in one state [N·m]."""
    data = mujoco.MjData(model)
    data.qpos[0], data.qvel[0], data.ctrl[0] = angle, speed, ctrl
    mujoco.mj_forward(model, data)
    return data.actuator_force[0]


def speeds(model, target, seconds):
    """(num_steps,) speed of the wheel while its target follows `target(time)` [rad/s]."""
    data, seen = mujoco.MjData(model), []
    for step in range(round(seconds / model.opt.timestep)):
        data.ctrl[0] = target(step * model.opt.timestep)
        mujoco.mj_step(model, data)
        seen.append(data.qvel[0])
    return np.array(seen)


def test_the_reflected_rotor_turns_with_the_joint(wheel):
    model = wheel(replace(SERVO, armature=36e-4))  # 1e-4 kg·m² · 6²
    data = mujoco.MjData(model)
    data.ctrl[0] = 1e3
    mujoco.mj_step(model, data)
    assert data.qvel[0] == pytest.approx(12.0 / (0.02 + 0.0036) * 0.004)  # τ / (I + armature) · dt


@pytest.mark.parametrize(
    ("speed", "expected"),
    [
        (0.0, 12.0),  # stall torque
        (10.0, 6.0),  # 12 · (1 − 10/20)
        (15.0, 3.0),
        (20.0, 0.0),  # no-load speed
        (25.0, -3.0),  # driven faster, it brakes: 12 · (1 − 25/20)
        (-10.0, 12.0),  # braking, the current is the limit
    ],
)
def test_torque_falls_in_a_line_to_the_no_load_speed(wheel, speed, expected):
    assert torque(wheel(SERVO), speed=speed, ctrl=1e3) == pytest.approx(expected)
    assert torque(wheel(SERVO), speed=-speed, ctrl=-1e3) == pytest.approx(-expected)
    assert torque(wheel(MOTOR), speed=speed, ctrl=1e3) == pytest.approx(expected)


@pytest.mark.parametrize(("speed", "expected"), [(0.0, 12.0), (10.0, 12.0), (15.0, 6.0), (20.0, 0.0)])
def test_up_to_a_knee_the_torque_limit_holds(wheel, speed, expected):
    actuator = replace(SERVO, knee_speed=10.0)
    assert actuator.stall_torque == 24.0  # 12 · 20 / (20 − 10)
    assert torque(wheel(actuator), speed=speed, ctrl=1e3) == pytest.approx(expected)  # 12 · (20 − 15) / (20 − 10) = 6


def test_below_the_line_a_motor_gives_what_is_asked(wheel):
    assert torque(wheel(SERVO), angle=0.1, speed=2.0, ctrl=0.3) == pytest.approx(6.0)  # 40 · (0.3 − 0.1) − 1 · 2
    assert torque(wheel(MOTOR), speed=4.0, ctrl=5.0) == pytest.approx(5.0)


def test_a_joint_commanded_far_away_reaches_its_no_load_speed_and_no_more(wheel):
    seen = speeds(wheel(SERVO), lambda _: 1e3, 1.0)
    assert seen.max() <= 20.0 + 1e-9
    assert seen[-1] == pytest.approx(20.0, abs=1e-3)


@pytest.mark.parametrize("rate", [1.2, 10.0, 19.0])
def test_a_ramp_below_the_line_is_followed_without_running_away(wheel, rate):
    seen = speeds(wheel(SERVO), lambda time: rate * time, 3.0)
    assert seen.max() <= 20.0 + 1e-9
    assert np.abs(seen[-100:] - rate).max() < 1e-3


def test_a_steep_line_is_stable(wheel):
    seen = speeds(wheel(replace(SERVO, knee_speed=19.0)), lambda _: 1e3, 2.0)
    assert seen.max() < 20.0 + 12.0 / 0.024 * 0.004  # no more than the last step before the line too fast
    assert np.abs(seen[-100:] - 20.0).max() < 1e-6


def test_a_delayed_motor_obeys_after_its_delay(wheel):
    model = wheel(replace(SERVO, delay=0.008), delay_samples=5)
    data = default_data(model)
    data.ctrl[0] = 0.1
    forces = []
    for _ in range(4):
        mujoco.mj_step(model, data)
        forces.append(data.actuator_force[0])
    assert forces[:2] == pytest.approx([0.0, 0.0], abs=1e-9)  # 8 ms are two steps of 4 ms
    assert forces[2] == pytest.approx(4.0)  # 40 · 0.1


def test_a_weaker_motor_and_a_tired_battery_lower_the_line_and_leave_what_is_below(wheel):
    weak = wheel(SERVO)
    weak.actuator_gainprm[:, RESISTANCE] /= 0.5
    weak.actuator_biasprm[:, BACK_EMF] *= 0.5
    weak.actuator_forcerange *= 0.5
    assert torque(weak, speed=0.0, ctrl=1e3) == pytest.approx(6.0)
    assert torque(weak, speed=10.0, ctrl=1e3) == pytest.approx(3.0)
    assert torque(weak, speed=20.0, ctrl=1e3) == pytest.approx(0.0)
    assert torque(weak, speed=2.0, ctrl=0.1) == pytest.approx(2.0)  # 40 · 0.1 − 1 · 2
    tired = wheel(SERVO)
    tired.actuator_gainprm[:, SUPPLY] = 0.75
    assert torque(tired, speed=0.0, ctrl=1e3) == pytest.approx(9.0)  # 0.75 · 12
    assert torque(tired, speed=15.0, ctrl=1e3) == pytest.approx(0.0)  # 0.75 · 20 rad/s


def test_gains_are_where_they_are_said_to_be(wheel):
    model = wheel(SERVO)
    model.actuator_gainprm[:, KP] *= 1.5
    assert torque(model, speed=0.0, ctrl=0.1) == pytest.approx(6.0)  # 1.5 · 40 · 0.1


def test_go1_moves_below_the_line_as_with_plain_servos():
    spec = robots.get("go1")
    model, plain = build_model(spec), edit_model(spec)
    for motor, joint in zip(plain.actuators, spec.joints, strict=True):
        motor.set_to_position(kp=joint.actuator.kp, kv=joint.actuator.kd)
    plain = plain.compile()
    data, other = default_data(model), mujoco.MjData(plain)
    other.qpos[:] = data.qpos
    rng = np.random.default_rng(0)
    for _ in range(25):
        data.ctrl[:] = other.ctrl[:] = np.array(spec.default_positions) + 0.05 * rng.standard_normal(12)
        for _ in range(5):
            mujoco.mj_step(model, data)
            mujoco.mj_step(plain, other)
    assert np.abs(data.qvel).max() > 0.5
    np.testing.assert_allclose(data.qpos, other.qpos, atol=1e-9)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"knee_speed": 20.0}, r"knee_speed must lie below velocity_limit = 20.0, got 20.0"),
        ({"velocity_limit": float("nan")}, r"velocity_limit must be a finite number, got nan"),
        ({"torque_limit": float("inf")}, r"torque_limit must be a finite number, got inf"),
    ],
)
def test_a_motor_that_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        replace(SERVO, **fields)
