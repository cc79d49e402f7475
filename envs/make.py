"""Worlds of any task on any robot."""

from typing import Any

from envs.randomization import Randomization
from envs.task import TaskSpec
from envs.vector_env import VectorEnv
from envs.worlds import Worlds
from robots.spec import RobotSpec

GYMNASIUM = "gymnasium"
"""Embodiment of tasks that a Gymnasium id brings along."""


def make_worlds(
    spec: RobotSpec,
    task: TaskSpec,
    *,
    num_envs: int,
    randomization: Randomization,
    seed: int = 0,
    num_threads: int = 0,
    scoring: bool = False,
    **others: Any,
) -> Worlds:
    """What steps `task` on `spec`; arguments are those of `VectorEnv`."""
    given: dict[str, Any] = {
        "num_envs": num_envs,
        "randomization": randomization,
        "seed": seed,
        "num_threads": num_threads,
        "scoring": scoring,
        **others,
    }
    if task.embodiment == GYMNASIUM:
        from envs.gymnasium_worlds import GymnasiumWorlds

        return GymnasiumWorlds(spec, task, **given)
    return VectorEnv(spec, task, **given)
