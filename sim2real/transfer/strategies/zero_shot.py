"""Zero-shot: the source's dimensionless weights on the target, untouched."""

from policies.networks import ActorCritic
from policies.ppo import PPO
from policies.vec_env import Sb3VecEnv
from sim2real.transfer.strategy import Source, Strategy, put_on


def learner(source: Source, env: Sb3VecEnv, budget: int, seed: int) -> PPO:
    """The source on the target's units."""
    return put_on(source, PPO(ActorCritic, env, seed=seed, policy_kwargs=source.policy_kwargs(env)))


STRATEGY = Strategy(name="zero_shot", summary="the source as it is", learner=learner, trains=False)
