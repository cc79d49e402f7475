"""Dynamically similar robots see, do and earn the same: what dimensionless observations and actions rest on."""

import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import robots
from envs import tasks
from envs.randomization import preset
from envs.vector_env import VectorEnv
from robots.spec import ActuatorSpec, RobotSpec


def similar(spec: RobotSpec, folder: Path, *, length: float, mass: float, gravity: float) -> RobotSpec:
    """`spec` with its units of length, mass and gravity multiplied and everything else following from them."""
    time, torque = math.sqrt(length / gravity), mass * gravity * length
    tree = ET.parse(spec.mjcf_path)
    powers = {"pos": length, "size": length, "fromto": length, "mass": mass, "fullinertia": mass * length**2}
    for element in tree.iter():
        for name in powers.keys() & element.attrib.keys():
            numbers = [float(number) * powers[name] for number in element.attrib[name].split()]
            element.attrib[name] = " ".join(map(repr, numbers))
    softness, every = f"{0.02 * time!r} 1", tree.find("default/default")  # MuJoCo's defaults are in seconds and metres
    assert every is not None
    ET.SubElement(tree.getroot(), "option", gravity=f"0 0 {-9.81 * gravity!r}")
    for name, constants in (
        ("geom", {"solref": softness, "solimp": f"0.9 0.95 {0.001 * length!r} 0.5 2"}),
        ("joint", {"solreflimit": softness, "solreffriction": softness}),
    ):
        found = every.find(name)
        assert found is not None
        found.attrib |= constants
    path = folder / "robot.xml"
    tree.write(path)

    def actuator(nominal: ActuatorSpec) -> ActuatorSpec:
        return ActuatorSpec(
            kp=nominal.kp * torque,
            kd=nominal.kd * torque * time,
            torque_limit=nominal.torque_limit * torque,
            velocity_limit=nominal.velocity_limit / time,
            armature=nominal.armature * mass * length**2,
            damping=nominal.damping * torque * time,
            friction_loss=nominal.friction_loss * torque,
            delay=nominal.delay * time,
        )

    return replace(
        spec,
        mjcf=str(path),
        joints=tuple(replace(joint, actuator=actuator(joint.actuator)) for joint in spec.joints),
        feet=tuple(replace(foot, radius=foot.radius * length) for foot in spec.feet),
        imu=replace(spec.imu, gyro_noise=spec.imu.gyro_noise / time, gyro_bias=spec.imu.gyro_bias / time),
        encoders=replace(spec.encoders, velocity_noise=spec.encoders.velocity_noise / time),
        default_height=spec.default_height * length,
        length=spec.length * length,
        mass=spec.mass * mass,
        control_hz=spec.control_hz / time,
        physics_dt=spec.physics_dt * time,
    )


def rollout(spec: RobotSpec) -> list[torch.Tensor]:
    """Dimensionless observations, scores and rewards per second, over 50 control steps."""
    task = tasks.get("velocity")
    env = VectorEnv(spec, task, num_envs=8, randomization=preset("default"), num_threads=1, scoring=True)
    offset = torch.tensor([number for term in env.terms for number in term.offset])
    scale = torch.tensor([number for term in env.terms for number in term.scale])
    generator, record = torch.Generator().manual_seed(0), []
    for _ in range(50):
        step = env.step(0.4 * torch.randn(8, spec.num_joints, generator=generator))
        record += [(step.observation - offset) * scale, task.score(step.world, env.space)]
        record.append((step.reward - task.fall_reward * step.terminated) / env.dt)
    return record


# powers of two: nothing but the solver's tolerance, which is in SI, tells the robots apart
@pytest.mark.parametrize(("length", "mass", "gravity"), [(4.0, 8.0, 1.0), (1.0, 1.0, 4.0)])
def test_dynamically_similar_robots_behave_identically(tmp_path, length, mass, gravity):
    go1 = robots.get("go1")
    other = similar(go1, tmp_path, length=length, mass=mass, gravity=gravity)
    for one, two in zip(rollout(go1), rollout(other), strict=True):
        torch.testing.assert_close(one, two, atol=2e-4, rtol=0.0)
