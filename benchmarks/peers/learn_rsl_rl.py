"""rsl_rl's PPO on our native worlds: rollout 8192, minibatch 4096, 5 epochs, two 64×64 tanh networks.

Actor and critic read the same observation, normalized by rsl_rl's own running statistics; its learning rate adapts.
"""

import torch
from rsl_rl.env import VecEnv
from rsl_rl.runners import OnPolicyRunner
from serve import arguments, serve
from tensordict import TensorDict

import envs.tasks
import robots
from envs.make import make_worlds
from envs.randomization import preset
from policies.threads import one_torch_thread

ROLLOUT, MINIBATCH = 8192, 4096


class Worlds(VecEnv):
    """`envs.worlds.Worlds` as rsl_rl wants them."""

    def __init__(self, num_envs: int, num_threads: int) -> None:
        self.worlds = make_worlds(
            robots.get("gymnasium:HalfCheetah-v5"),
            envs.tasks.get("gymnasium"),
            num_envs=num_envs,
            randomization=preset("none"),
            num_threads=num_threads,
        )
        self.num_envs, self.num_actions, self.device = num_envs, 6, "cpu"
        self.cfg: dict = {}
        self.max_episode_length = self.worlds.episode_steps
        self.episode_length_buf = torch.zeros(num_envs, dtype=torch.long)

    def get_observations(self) -> TensorDict:
        return self._rows(self.worlds.observation())

    def step(self, actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict]:
        step = self.worlds.step(actions)
        done = (step.terminated | step.truncated).long()
        return self._rows(step.observation), step.reward, done, {"time_outs": step.truncated}

    def _rows(self, observation: torch.Tensor) -> TensorDict:
        return TensorDict({"policy": observation}, batch_size=[self.num_envs])


def network(**distribution: object) -> dict:
    return {
        "class_name": "MLPModel",
        "hidden_dims": [64, 64],
        "activation": "tanh",
        "obs_normalization": True,
        **distribution,
    }


given = arguments()
one_torch_thread()
runner = OnPolicyRunner(
    Worlds(given.num_envs, given.num_threads),
    {
        "num_steps_per_env": ROLLOUT // given.num_envs,
        "save_interval": 10**9,
        "check_for_nan": False,
        "obs_groups": {"actor": ["policy"], "critic": ["policy"]},
        "actor": network(distribution_cfg={"class_name": "GaussianDistribution", "init_std": 1.0}),
        "critic": network(),
        "algorithm": {
            "class_name": "PPO",
            "num_learning_epochs": 5,
            "num_mini_batches": ROLLOUT // MINIBATCH,
            "gamma": 0.99,
            "lam": 0.95,
            "entropy_coef": 0.0,
            "schedule": "adaptive",
            "desired_kl": 0.01,
            "rnd_cfg": None,
            "symmetry_cfg": None,
        },
    },
    log_dir=None,
)


def advance() -> int:
    runner.learn(1)
    return ROLLOUT


serve(advance)
