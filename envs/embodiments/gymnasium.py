"""Machines of Gymnasium ids: policies see the id's own observation. Their worlds are `envs.gymnasium_worlds`."""

from collections.abc import Callable
from typing import Any

import torch

from envs.embodiments.embodiment import Actor
from envs.gymnasium_native.ids import find
from envs.gymnasium_native.robot import id_of
from envs.observations import Term
from envs.task import TaskSpec
from robots.joint_space import JointSpace
from robots.spec import RobotSpec

UNITS = {
    "qpos": ("m, rad, 1", "joints, in the file's order"),
    "qvel": ("m/s, rad/s", "joints, in the file's order"),
    "cinert": ("kg·m², kg·m, kg", "bodies, about the centre of mass"),
    "cvel": ("rad/s, m/s", "bodies, about the centre of mass"),
    "qfrc_actuator": ("N·m", "joints, in the file's order"),
    "cfrc_ext": ("N·m, N", "bodies, about the centre of mass"),
}
"""Unit and frame of the parts that Gymnasium names in `observation_structure`."""


class Gymnasium:
    """What `envs.embodiments` asks of an embodiment before there are worlds."""

    @staticmethod
    def terms(spec: RobotSpec, space: JointSpace, task: TaskSpec) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
        """The id's observation, and nothing privileged."""
        return id_terms(find(id_of(spec)).single), ()

    @staticmethod
    def ground(spec: RobotSpec, task: TaskSpec) -> Callable[[Any], None] | None:
        """The file brings its own."""
        return None

    @staticmethod
    def no_op(spec: RobotSpec, task: TaskSpec) -> Actor:
        """The middle of every control's range."""
        return lambda observation: torch.zeros(len(observation), spec.num_joints)


def id_terms(single: Any) -> tuple[Term, ...]:
    """One term for each part that the environment names, or one for all."""
    structure = getattr(single, "observation_structure", {})
    parts = {name: width for name, width in structure.items() if width and not name.startswith("skipped_")}
    width = single.observation_space.shape[0]
    if sum(parts.values()) != width:
        parts = {"observation": width}
    return tuple(_term(name, size) for name, size in parts.items())


def _term(name: str, width: int) -> Term:
    unit, frame = UNITS.get(name, ("as the id has it", "as the id has it"))
    return Term(name=name, unit=unit, frame=frame, offset=(0.0,) * width, scale=(1.0,) * width)


EMBODIMENT = Gymnasium
