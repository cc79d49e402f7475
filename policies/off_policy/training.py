"""A run of SAC or TQC that may be killed: curve and checkpoints, the replay buffer among them."""

from typing import Any

import torch

from envs.embodiments.embodiment import Actor
from envs.state_dicts import Tensors, prefixed, without_prefix
from policies.evaluation import Evaluation
from policies.files import checkpoint
from policies.files.run_state import load_run, save_run
from policies.off_policy.algorithms import SAC, TQC
from policies.stacked import on_plain_rows
from policies.training import Training, Watcher

NEVER = 10**9
"""Episodes between two lines of Stable-Baselines3's log: `report` tells more."""
KIND = "off_policy_training"
BUFFER = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
"""Arrays of a replay buffer, (stored steps, num_envs, ...)."""
COUNTERS = ("num_timesteps", "_n_updates", "_episode_num", "_total_timesteps", "_num_timesteps_at_start")


class OffPolicyTraining(Training):
    """As `Training`, of a learner that keeps what it has seen."""

    ppo: SAC | TQC

    def __post_init__(self) -> None:
        """Any number of steps will do."""

    def _learn(self, steps: int) -> None:
        self.ppo.learn(
            steps, callback=Watcher(self), log_interval=NEVER, reset_num_timesteps=self.ppo._last_obs is None
        )

    @property
    def sizes(self) -> dict[str, Any]:
        """Of the worlds and the network, and which algorithm learns."""
        worlds, learner = self.env.env, self.ppo
        return {
            "worlds": worlds.num_envs,
            "observation_width": worlds.width,
            "actor_width": learner.layout.actor_width,
            "hidden_layers": list(learner.card.hidden),
            "algorithm": type(learner).__name__.lower(),
        }

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        learner = self.ppo
        assert learner.ent_coef_optimizer is not None
        return {
            "actor": learner.policy.actor.optimizer,
            "critic": learner.policy.critic.optimizer,
            "temperature": learner.ent_coef_optimizer,
        }

    def save(self) -> None:
        """Write everything that the rest of the run depends on."""
        learner, buffer = self.ppo, self.ppo.replay_buffer
        assert learner.log_ent_coef is not None
        tensors = prefixed("policy", dict(learner.policy.state_dict())) | prefixed("env", self.env.env.state_dict())
        for name, optimizer in self._optimizers().items():
            tensors |= prefixed(f"{name}_optimizer", checkpoint.optimizer_tensors(optimizer))
        tensors |= {
            f"buffer.{name}": torch.from_numpy(getattr(buffer, name)[: buffer.stored].copy()) for name in BUFFER
        }
        tensors |= {"generator": learner.generator.get_state(), "log_ent_coef": learner.log_ent_coef.detach()}
        if learner._last_obs is not None:
            tensors["last_observation"] = torch.as_tensor(learner._last_obs)
        record = self._record() | {"counters": {name: getattr(learner, name) for name in COUNTERS}, "at": buffer.pos}
        save_run(self.file, KIND, tensors, record, self.about)

    def restore(self) -> None:
        """Continue where `save` was called."""
        tensors, record = load_run(self.file, KIND, self.about, self.say)
        self._restore_learner(tensors, record)
        self._restore_run(tensors, record)

    @torch.no_grad()
    def _restore_learner(self, tensors: Tensors, record: dict[str, Any]) -> None:
        learner, buffer = self.ppo, self.ppo.replay_buffer
        assert learner.log_ent_coef is not None
        learner.policy.load_state_dict(without_prefix("policy", tensors))
        for name, optimizer in self._optimizers().items():
            moments = without_prefix(f"{name}_optimizer", tensors)
            checkpoint.load_optimizer(optimizer, moments, learner.settings.learning_rate)
        learner.log_ent_coef.copy_(tensors["log_ent_coef"])
        for name in BUFFER:
            getattr(buffer, name)[: len(tensors[f"buffer.{name}"])] = tensors[f"buffer.{name}"].numpy()
        buffer.pos, buffer.full = record["at"], record["at"] == 0 and len(tensors["buffer.rewards"]) > 0
        learner.generator.set_state(tensors["generator"])
        last = tensors.get("last_observation")
        learner._last_obs = None if last is None else last.numpy()
        for name, value in record["counters"].items():
            setattr(learner, name, value)

    def _act(self, observation: torch.Tensor) -> torch.Tensor:
        return self.ppo.act(observation)

    def evaluate(self, actor: Actor, *others: Any) -> Evaluation:
        """As of `Training`; frames are stacked for skills that read a history."""
        return super().evaluate(on_plain_rows(actor, self.env.env), *others)
