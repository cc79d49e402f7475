"""Gymnasium ids of every sensible task on every robot of the zoo: `Sim2Real/Velocity-Go1-v0`.

Beside them, Gymnasium's MuJoCo ids that run natively on the batch engine: `Sim2Real/HalfCheetah-v5` makes Gymnasium's
own environment, `make_vec` of it our worlds, whose numbers are the same.

Importing this module registers all of them, and `gymnasium.make("envs.registration:Sim2Real/Velocity-Go1-v0")` imports
it. Nothing can be registered without an import: Gymnasium 1.x reads no entry points of packages (0.29 was the last that
did). Physics and torch are imported by the first `make`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium

import robots
from envs import tasks
from robots.spec import RobotSpec

NAMESPACE, VERSION = "Sim2Real", 0
NATIVE = ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "Humanoid-v5")
"""Gymnasium's ids that `envs.gymnasium_native` has on the batch engine."""


def _stands(spec: RobotSpec) -> bool:
    return bool(spec.feet)


def _has_tool(spec: RobotSpec) -> bool:
    return bool(spec.end_effector) and not spec.feet


def _is_machine(spec: RobotSpec) -> bool:
    return spec.kind == "machine"


def _never(spec: RobotSpec) -> bool:
    return False


WANTS: dict[str, Callable[[RobotSpec], bool]] = {
    "velocity": _stands,
    "velocity_rough": _stands,
    "stand_up": _stands,
    "reach": _has_tool,
    "balance": _is_machine,
    "gymnasium": _never,  # its robots are ids already
}
"""What tasks ask of a robot, as their `TaskSpec.refuses` says, but told without importing torch."""


def sensible(robot: str, task: str) -> bool:
    """Whether a robot of the zoo can do a task; tasks that `WANTS` does not know are imported and asked."""
    spec = robots.get(robot)
    return WANTS[task](spec) if task in WANTS else not tasks.get(task).refuses(spec)


def env_id(task: str, robot: str) -> str:
    """Gymnasium's id of a task on a robot of the zoo."""
    return f"{NAMESPACE}/{_camel_case(task)}-{_camel_case(robot)}-v{VERSION}"


def pairs() -> list[tuple[str, str]]:
    """(task, robot) of every id, sorted."""
    return [(task, robot) for task in tasks.names() for robot in robots.names() if sensible(robot, task)]


def register_all() -> None:
    """Register every id; what is registered already stays."""
    for task, robot in pairs():
        _register(
            env_id(task, robot),
            entry_point="envs.gym_env:SingleEnv",
            vector_entry_point="envs.gym_env:GymVectorEnv",
            kwargs={"robot": robot, "task": task},
        )
    for name in NATIVE:
        spec = gymnasium.spec(name)
        _register(
            f"{NAMESPACE}/{name}",
            entry_point=spec.entry_point,
            vector_entry_point=partial(_native_worlds, name),
            max_episode_steps=spec.max_episode_steps,
            reward_threshold=spec.reward_threshold,
        )


def _register(name: str, **how: Any) -> None:
    if name not in gymnasium.registry:
        gymnasium.register(name, **how)


def _native_worlds(name: str, **arguments: Any) -> gymnasium.vector.VectorEnv:
    from envs.gymnasium_native.vector import NativeVectorEnv

    return NativeVectorEnv(name, **arguments)


def _camel_case(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


register_all()
