"""The learner whose speed and skill are measured on go1: as `sim2real train` makes it."""

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
    num_threads: int = 0,
    privileged: bool = False,
    seed: int = 0,
    world_seed: int = 0,
    collective: Collective = ALONE,
) -> PPO:
    """PPO in worlds of go1's velocity task under the default randomization."""
    spec, task = robots.get(ROBOT), envs.tasks.get(TASK)
    randomization = preset("default")
    worlds = make_worlds(
        spec, task, num_envs=num_worlds, randomization=randomization, seed=world_seed, num_threads=num_threads
    )
    return PPO(
        ActorCritic,
        Sb3VecEnv(worlds),
        hyperparameters=for_task(spec, task),
        collective=collective,
        seed=seed,
        policy_kwargs={"layout": Layout.of(worlds.terms, privileged=privileged)},
    )
