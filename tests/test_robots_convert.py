"""The adapter on robots of our own, so that it is tested where there is no Menagerie."""

import numpy as np
import pytest

import robots
from robots.convert import convert
from robots.model import build_model, edit_model
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
