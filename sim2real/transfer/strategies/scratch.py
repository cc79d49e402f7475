"""From scratch: the control of every transfer, with the source's network shape and fresh weights."""

from policies.networks import ActorCritic
from policies.ppo import PPO
from policies.vec_env import Sb3VecEnv
from sim2real.transfer.strategy import Source, Strategy


def learner(source: Source, env: Sb3VecEnv, budget: int, seed: int) -> PPO:
    """A fresh learner."""
    return PPO(ActorCritic, env, seed=seed, policy_kwargs=source.policy_kwargs(env))


STRATEGY = Strategy(name="scratch", summary="fresh weights", learner=learner)
