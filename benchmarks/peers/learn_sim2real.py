"""Our PPO on our native worlds: rollout 8192, minibatch 4096, 5 epochs, two 64×64 tanh networks."""

from serve import arguments, serve

import envs.tasks
import robots
from envs.make import make_worlds
from envs.randomization import preset
from policies.hyperparameters import for_task
from policies.networks import ActorCritic, Layout
from policies.ppo import PPO
from policies.threads import one_torch_thread
from policies.vec_env import Sb3VecEnv


def learner(num_envs: int, num_threads: int, seed: int = 0) -> PPO:
    """As `sim2real train --robot gymnasium:HalfCheetah-v5 --task gymnasium --randomization none` makes it."""
    one_torch_thread()
    spec, task = robots.get("gymnasium:HalfCheetah-v5"), envs.tasks.get("gymnasium")
    randomization = preset("none")
    worlds = make_worlds(spec, task, num_envs=num_envs, randomization=randomization, seed=seed, num_threads=num_threads)
    layout = Layout.of(worlds.terms, privileged=False)
    return PPO(
        ActorCritic,
        Sb3VecEnv(worlds),
        hyperparameters=for_task(spec, task),
        seed=seed,
        policy_kwargs={"layout": layout},
    )


def main() -> None:
    given = arguments()
    ppo = learner(given.num_envs, given.num_threads)

    def advance() -> int:
        before = ppo.num_timesteps
        ppo.learn(ppo.n_steps * given.num_envs, reset_num_timesteps=ppo._last_obs is None)
        return ppo.num_timesteps - before

    serve(advance)


if __name__ == "__main__":
    main()
