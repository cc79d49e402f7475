"""Gymnasium ids of every task on every legged robot: `Sim2Real/Velocity-Go1-v0`.

Importing this module registers them, and `gymnasium.make("envs.registration:Sim2Real/Velocity-Go1-v0")` imports it.
Physics and torch are imported by the first `make`.
"""

import gymnasium

import robots
from envs import tasks

NAMESPACE, VERSION = "Sim2Real", 0


def env_id(task: str, robot: str) -> str:
    """Gymnasium's id of a task on a robot of the zoo."""
    return f"{NAMESPACE}/{_camel_case(task)}-{_camel_case(robot)}-v{VERSION}"


def register_all() -> None:
    """Register every task on every robot with feet; what is registered already stays."""
    legged = [name for name in robots.names() if robots.get(name).feet]
    for task in tasks.names():
        for robot in legged:
            _register(task, robot)


def _register(task: str, robot: str) -> None:
    if env_id(task, robot) not in gymnasium.registry:
        gymnasium.register(
            env_id(task, robot),
            entry_point="envs.gym_env:SingleEnv",
            vector_entry_point="envs.gym_env:GymVectorEnv",
            kwargs={"robot": robot, "task": task},
        )


def _camel_case(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


register_all()
