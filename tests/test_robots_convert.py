"""The adapter on robots of our own, so that it is tested where there is no Menagerie."""

import mujoco
import numpy as np
import pytest

import robots
from robots.convert import convert
from robots.model import build_model, edit_model
from robots.serial_chain import serial_chain
from robots.standing import stands


@pytest.mark.parametrize(
    ("name", "kind"), [("go1", "quadruped"), ("quadruped:legs=6,leg_length=0.2,mass=8", "hexapod"), ("g1", "humanoid")]
)
def test_a_legged_robot_is_found_again_in_its_mjcf(name, kind, tmp_path):
    spec = robots.get(name)
    editable = edit_model(spec, contacts="full")
    for motor, joint in zip(editable.actuators, spec.joints, strict=True):
        motor.set_to_position(kp=joint.actuator.kp, kv=joint.actuator.kd)
        motor.ctrlspec = 0
    editable.compile()
    editable.add_key(name="home", qpos=build_model(spec).key(0).qpos)
    (tmp_path / "source.xml").write_text(editable.to_xml())
    found = convert(tmp_path / "source.xml", tmp_path / "out", name="found")
    assert found.kind == kind
    assert sorted(found.joint_names) == sorted(spec.joint_names)
    assert found.default_height == pytest.approx(spec.default_height, abs=3e-3)
    assert found.length == pytest.approx(spec.length, rel=0.02)
    angles = dict(zip(spec.joint_names, spec.default_positions, strict=True))
    if kind != "humanoid":  # whose feet may be moved under its centre of mass
        assert [foot.name for foot in found.feet] == [foot.name for foot in spec.feet]
        np.testing.assert_allclose(found.default_positions, [angles[name] for name in found.joint_names], atol=1e-5)
    assert stands(found)


TILTED = """
<mujoco>
  <compiler angle="radian"/>
  <worldbody>
    <body name="base">
      <geom size="0.05"/>
      <body name="upper" pos="0 0 0.1" quat="1 0.2 0.3 0">
        <joint name="shoulder" axis="0 1 0" ref="0.4" range="-2 2" stiffness="3" springref="0.5"/>
        <geom type="capsule" fromto="0 0 0 0 0 0.3" size="0.03"/>
        <body name="lower" pos="0 0 0.3">
          <joint name="elbow" axis="1 0 0" pos="0 0.02 0" ref="-0.3" range="-2 2"/>
          <geom type="capsule" fromto="0 0 0 0 0 0.3" size="0.02"/>
          <site name="tip" pos="0 0.1 0.3"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <position joint="shoulder" kp="50" kv="5"/>
    <position joint="elbow" kp="50" kv="5"/>
  </actuator>
</mujoco>
"""


def test_joints_whose_zero_is_not_where_the_file_draws_them_keep_their_meaning(tmp_path):
    (tmp_path / "source.xml").write_text(TILTED)
    spec = convert(tmp_path / "source.xml", tmp_path / "out", name="tilted")
    source, model = mujoco.MjModel.from_xml_string(TILTED), build_model(spec)
    q = np.array([1.0, -0.9])
    tips = []
    for robot in (source, model):
        data = mujoco.MjData(robot)
        data.qpos[:] = q
        mujoco.mj_kinematics(robot, data)
        tips.append(data.site("tip").xpos)
    np.testing.assert_allclose(tips[1], tips[0], atol=1e-5)
    np.testing.assert_allclose(serial_chain(spec).tip_and_jacobian(np, q)[0], tips[1], atol=1e-9)
    np.testing.assert_allclose(model.qpos_spring, source.qpos_spring)  # 0.5 and -0.3 rad
