"""Dynamically similar robots see, do and earn the same: what dimensionless observations and actions rest on."""

from dataclasses import replace

import pytest
import torch

import robots
from envs import tasks
from envs.randomization import preset
from envs.vector_env import VectorEnv
from robots.similarity import scaled
from robots.spec import RobotSpec


def rollout(spec: RobotSpec, name: str) -> list[torch.Tensor]:
    """Dimensionless observations, scores and rewards per second, over 50 control steps."""
    task = tasks.get(name)
    # an encoder's errors are given once for all joints, so those of a slide do not scale
    randomization = replace(preset("default"), noise=float(spec.kind != "machine"))
    env = VectorEnv(spec, task, num_envs=8, randomization=randomization, num_threads=1, scoring=True)
    offset = torch.tensor([number for term in env.terms for number in term.offset])
    scale = torch.tensor([number for term in env.terms for number in term.scale])
    generator, record = torch.Generator().manual_seed(0), []
    for _ in range(50):
        step = env.step(0.4 * torch.randn(8, spec.num_joints, generator=generator))
        record += [(step.observation - offset) * scale, task.score(step.world, env.space)]
        record.append((step.reward - task.fall_reward * step.terminated) / env.dt)
    return record


# powers of two: nothing but the solver's tolerance, which is in SI, tells the robots apart
@pytest.mark.parametrize(
    ("robot", "task"), [("go1", "velocity"), ("go1", "velocity_rough"), ("so101", "reach"), ("cartpole", "balance")]
)
@pytest.mark.parametrize(("length", "mass", "gravity"), [(4.0, 8.0, 1.0), (1.0, 1.0, 4.0)])
def test_dynamically_similar_robots_behave_identically(tmp_path, robot, task, length, mass, gravity):
    spec = robots.get(robot)
    other = scaled(spec, tmp_path, length=length, mass=mass, gravity=gravity)
    for one, two in zip(rollout(spec, task), rollout(other, task), strict=True):
        torch.testing.assert_close(one, two, atol=1e-3, rtol=0.0)
