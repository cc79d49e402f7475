"""The learner whose speed and skill are measured, on go1 unless told otherwise: as `sim2real train` makes it."""

import envs.tasks
import robots
from envs.make import make_worlds
from envs.randomization import preset
from policies.collective import ALONE, Collective
from policies.hyperparameters import for_task
from policies.networks import ActorCritic, Layout
from policies.ppo import PPO
from policies.vec_env import Sb3VecEnv

ROBOT, TASK = "go1", "velocity"


def learner(
    num_worlds: int,
    *,
    robot: str = ROBOT,
    task: str = TASK,
    num_threads: int = 0,
    privileged: bool = False,
    seed: int = 0,
    world_seed: int = 0,
    collective: Collective = ALONE,
) -> PPO:
    """PPO in worlds of a robot's task under the default randomization."""
    spec, wanted = robots.get(robot), envs.tasks.get(task)
    randomization = preset("default")
    worlds = make_worlds(
        spec, wanted, num_envs=num_worlds, randomization=randomization, seed=world_seed, num_threads=num_threads
    )
    return PPO(
        ActorCritic,
        Sb3VecEnv(worlds),
        hyperparameters=for_task(spec, wanted),
        collective=collective,
        seed=seed,
        policy_kwargs={"layout": Layout.of(worlds.terms, privileged=privileged)},
    )
