"""Our torque-controlled machines against the equations they were published with."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

import robots
from robots.model import build_model, default_data
from robots.spec import RobotSpec

G = 9.81  # [m/s²]


def accelerations(spec: RobotSpec, state: dict[str, tuple[float, float]], torque: float) -> dict[str, float]:
    """Acceleration of each joint in a state of (position, velocity) per joint, under a torque on the driven one."""
    model = build_model(spec)
    data = default_data(model)
    for joint, (q, dq) in state.items():
        data.joint(joint).qpos[0], data.joint(joint).qvel[0] = q, dq
    data.ctrl[0] = torque
    mujoco.mj_forward(model, data)
    return {joint: float(data.joint(joint).qacc[0]) for joint in state}


@pytest.mark.parametrize(("theta", "dtheta", "force"), [(0.1, 0.0, 0.0), (-0.2, 1.5, 10.0), (2.0, -3.0, -5.0)])
def test_the_cartpole_moves_as_barto_sutton_and_anderson_write(theta, dtheta, force):
    m, total, l = 0.1, 1.1, 0.5  # noqa: E741
    dx = 0.4
    push = (-force - m * l * dtheta**2 * np.sin(theta) + 0.0005 * np.sign(dx)) / total
    turn = G * np.sin(theta) + np.cos(theta) * push - 2e-6 * dtheta / (m * l)
    ddtheta = turn / (l * (4 / 3 - m * np.cos(theta) ** 2 / total))
    ddx = (force + m * l * (dtheta**2 * np.sin(theta) - ddtheta * np.cos(theta)) - 0.0005 * np.sign(dx)) / total
    found = accelerations(robots.get("cartpole"), {"cart": (0.3, dx), "pole": (theta, dtheta)}, force)
    assert found["pole"] == pytest.approx(ddtheta, rel=1e-4)
    assert found["cart"] == pytest.approx(ddx, rel=1e-4)


def test_the_track_ends():
    model = build_model(robots.get("cartpole"))
    data = default_data(model)
    data.ctrl[0] = 10.0
    for _ in range(1500):
        mujoco.mj_step(model, data)
    assert 2.35 < data.joint("cart").qpos[0] < 2.45


def test_the_pendulum_accelerates_as_a_point_on_a_rod():
    # 0.57288 · 0.5² = 0.1432 kg·m², with ball and rotor 0.1456; 0.57288 · 9.81 · 0.5 = 2.810 N·m
    inertia = 0.14322 + 0.4 * 0.57288 * 0.03**2 + 36 * 6.0719e-5
    found = accelerations(robots.get("pendulum"), {"pendulum": (0.7, 2.0)}, 1.5)["pendulum"]
    assert found == pytest.approx((1.5 - 2.810 * np.sin(0.7) - 0.1 * 2.0) / inertia, rel=1e-3)


def test_the_pendulums_motor_cannot_hold_it_level():
    spec = robots.get("pendulum")
    limit = spec.joints[0].actuator.torque_limit
    assert limit < spec.mass * G * spec.length
    assert accelerations(spec, {"pendulum": (np.pi / 2, 0.0)}, 10.0)["pendulum"] < 0.0  # level: it sinks
    assert accelerations(spec, {"pendulum": (np.pi / 6, 0.0)}, 10.0)["pendulum"] > 0.0  # sin 30° · 2.81 = 1.4: it rises


@pytest.mark.parametrize(("q", "dq", "torque"), [((0.5, 0.3), (0.0, 0.0), 0.0), ((2.5, -1.0), (1.0, -4.0), 3.0)])
def test_the_acrobot_moves_as_its_published_parameters_say(q, dq, torque):
    l1, m1, m2, r1, r2 = 0.2, 0.52346, 0.62557, 0.2, 0.25569
    I1, I2, rotor = 0.031887, 0.050870, 36 * 6.2872e-5
    coupling = m2 * l1 * r2
    c2, s2 = np.cos(q[1]), np.sin(q[1])
    near, far = m2 * r2 * G * np.sin(q[0] + q[1]), (m1 * r1 + m2 * l1) * G * np.sin(q[0])
    mass = np.array(
        [
            [I1 + I2 + m2 * l1**2 + 2 * coupling * c2 + rotor, I2 + coupling * c2],
            [I2 + coupling * c2, I2 + rotor],
        ]
    )
    bias = coupling * s2 * np.array([-2 * dq[0] * dq[1] - dq[1] ** 2, dq[0] ** 2]) + [far + near, near]
    expected = np.linalg.solve(mass, np.array([0.0, torque]) - bias)
    spec = robots.get("acrobot")
    smooth = replace(
        spec,
        joints=tuple(replace(j, actuator=replace(j.actuator, damping=0.0, friction_loss=0.0)) for j in spec.joints),
        passive_joints=tuple(replace(j, damping=0.0, friction_loss=0.0) for j in spec.passive_joints),
    )
    found = accelerations(smooth, {"shoulder": (q[0], dq[0]), "elbow": (q[1], dq[1])}, torque)
    np.testing.assert_allclose([found["shoulder"], found["elbow"]], expected, rtol=1e-3)


def test_the_acrobots_idle_shoulder_has_the_friction_of_its_motor():
    spec = robots.get("acrobot")
    model = build_model(spec)
    dof = model.joint("shoulder").dofadr[0]
    assert model.dof_frictionloss[dof] == 0.16
    assert model.dof_damping[dof] == 0.001
    assert model.dof_armature[dof] == pytest.approx(36 * 6.2872e-5, rel=1e-4)
    assert model.nu == 1


@pytest.mark.parametrize("name", ["pendulum", "acrobot"])
def test_a_motor_gives_its_torque_almost_up_to_its_no_load_speed(name):
    actuator = robots.get(name).joints[0].actuator
    # 24 V / 0.17 Ω · 0.091 N·m/A · 6 = 77.1 N·m at rest: a limit of 6 N·m holds to 1 − 6/77.1 = 92 % of 38.2 rad/s
    assert actuator.stall_torque == pytest.approx(77.1, abs=0.1)
    assert actuator.knee_speed > 0.9 * actuator.velocity_limit
