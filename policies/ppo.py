"""Proximal policy optimization as a Stable-Baselines3 `PPO` whose rollout stays in torch tensors.

Schulman et al. 2017, arXiv:1707.06347; the learning rate follows the KL divergence of the updates (after
Rudin et al. 2021, arXiv:2109.11978). Every random number comes from one owned generator, so that a restored run
continues bit for bit. With an environment that offers `step_tensor` no per-environment Python runs; any other SB3
VecEnv works too.
"""

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any, Self

import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from policies.collective import ALONE, Collective
from policies.files.safe_files import SafeFiles
from policies.finite import DivergedError as DivergedError
from policies.finite import refuse_rollout, refuse_weights
from policies.hyperparameters import NAMES, Hyperparameters
from policies.networks import ActorCritic
from policies.rollout import Episodes, TorchRolloutBuffer
from policies.symmetry import Mirror
from policies.update import Update
from policies.vec_env import device_of, sb3_locals, step_of, worlds_of

SHAPE = ("hidden", "activation", "initial_std")
"""Hyperparameters that the policy is built with."""


class PPO(Update, SafeFiles):
    """PPO for hundreds of environments in few processes.

    Args:
        policy: Class of the policy, normally `ActorCritic`.
        env: SB3 vector environment; the learner lives on its device.
        hyperparameters: Of the update.
        collective: The learners that learn together.
        seed: Of the owned generator: initial weights, exploration, minibatches.
        policy_kwargs: Of the policy, over those of `hyperparameters`.
        settings: Single hyperparameters, over those of `hyperparameters`; other names are arguments of
            Stable-Baselines3, such as `tensorboard_log` and `verbose`.
    """

    _last_obs: Any
    normalizer_learns = True
    """Whether the running mean and deviation of observations follow the rollouts."""
    warm_up: float = 0
    """Environment steps in which the critic learns alone, since it knows less than the actor does."""
    overlaps = True
    """Whether the critic's update goes on during the next rollout; the numbers are the same."""

    def __init__(
        self,
        policy: type[ActorCritic],
        env: VecEnv,
        *,
        hyperparameters: Hyperparameters = Hyperparameters(),  # noqa: B008  (frozen)
        collective: Collective = ALONE,
        seed: int = 0,
        policy_kwargs: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        policy_kwargs = policy_kwargs or {}
        given = {name: settings.pop(name) for name in NAMES & set(settings)}
        shape = {name: policy_kwargs[name] for name in SHAPE if name in policy_kwargs}
        self.hyperparameters = chosen = replace(hyperparameters, **given | shape)
        self.collective = collective
        device = device_of(env)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.adaptive_rate = chosen.learning_rate
        self.mirror = Mirror.of(worlds_of(env), device) if chosen.mirror else None
        self.last_update: dict[str, float] = {}
        self.episodes = Episodes(env.num_envs)
        self._critic_update: Future[dict[str, float]] | None = None
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.nn draws initial weights from it; GPUs' stay alone
            super().__init__(
                policy,
                env,
                n_steps=chosen.num_steps,
                batch_size=chosen.num_steps * env.num_envs,  # minibatches are those of `Update`
                n_epochs=chosen.num_epochs,
                learning_rate=chosen.learning_rate,
                gamma=chosen.gamma,
                gae_lambda=chosen.gae_lambda,
                clip_range=chosen.clip_range,
                ent_coef=chosen.entropy_coefficient,
                vf_coef=chosen.value_coefficient,
                max_grad_norm=chosen.max_grad_norm,
                rollout_buffer_class=TorchRolloutBuffer,
                policy_kwargs={name: getattr(chosen, name) for name in SHAPE}
                | {"generator": self.generator}
                | policy_kwargs,
                device=device,
                **settings,
            )

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seed the owned generator, and nothing global."""
        if seed is not None:
            self.generator.manual_seed(seed)

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: TorchRolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill the buffer with `n_rollout_steps` control steps."""
        buffer, step = rollout_buffer, step_of(env, self.device)
        buffer.reset()
        callback.on_rollout_start()  # may give worlds another body
        observation = torch.as_tensor(self._last_obs, dtype=torch.float32, device=self.device)
        for t in range(n_rollout_steps):
            action = self._act(buffer, t, observation)
            observation, reward, terminated, truncated, final = step(action)
            buffer.add_outcome(t, reward, terminated, truncated, final)
            self.num_timesteps += env.num_envs * self.collective.size
            self._last_obs = observation
            callback.update_locals(sb3_locals(observation, action, reward, buffer.ended[t], step))
            if not callback.on_step():
                return False
        self._note_episodes(buffer)
        self.settle()
        buffer.rewards *= self.hyperparameters.reward_scale
        buffer.finish(self.policy, observation)
        callback.on_rollout_end()
        return True

    @torch.no_grad()
    def _act(self, buffer: TorchRolloutBuffer, t: int, observation: torch.Tensor) -> torch.Tensor:
        normalized = self.policy.normalizer(observation)
        mean = self.policy.action_mean(normalized)
        action = self.policy.sample(mean, self.policy.spread(normalized, self.policy.log_std))
        buffer.observations[t], buffer.normalized[t] = observation, normalized
        buffer.actions[t], buffer.means[t] = action, mean
        return action

    def _note_episodes(self, buffer: TorchRolloutBuffer) -> None:
        """Tell SB3's log of the episodes that ended."""
        if self.ep_info_buffer is not None:
            self.ep_info_buffer.extend(self.episodes.take_in(buffer.rewards, buffer.ended))

    def train(self) -> None:
        """Several epochs of clipped policy and value updates on the rollout.

        Actor and critic share no weights, so each is updated on a thread of its own. The critic's goes on during the
        next rollout, which asks for no value before its end: the numbers are those of one thread.
        """
        self.settle()
        refuse_rollout(self.rollout_buffer, self.num_timesteps)
        policy, batch = self.policy, self._batch()
        observations, returns = batch["observations"], batch["returns"]
        minibatches = [rows for _ in range(self.n_epochs) for rows in self._shuffled(len(returns))]
        pool = ThreadPoolExecutor(1)
        self._critic_update = pool.submit(self._train_critic, observations, returns, minibatches)
        pool.shutdown(wait=False)
        if self.num_timesteps > self.warm_up:
            self._train_actor(observations, batch, minibatches)
        if not self.overlaps:
            self.settle()
        if self.normalizer_learns:  # after the update, so that old and new probabilities see the same inputs
            policy.normalizer.update(self._seen(), self.collective)
        self._n_updates += self.n_epochs
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self._refuse_weights(policy.actor_parameters)

    def settle(self) -> None:
        """Wait for the critic's update: from here on its weights stay until the next `train`."""
        update = self._critic_update
        if update is not None:
            wait([update])  # who interrupts this finds it still learning
            self._critic_update = None
            self._tell(update.result())
            self._refuse_weights(list(self.policy.critic.parameters()))

    def _refuse_weights(self, parameters: list[torch.nn.Parameter]) -> None:
        refuse_weights(parameters, self.num_timesteps, self.adaptive_rate)

    def learn(self, *args: Any, **kwargs: Any) -> Self:
        """As of Stable-Baselines3; every update is done when it returns."""
        try:
            return super().learn(*args, **kwargs)
        finally:
            self.settle()

    def get_parameters(self) -> dict[str, dict]:
        """As of Stable-Baselines3."""
        self.settle()
        return super().get_parameters()

    def set_parameters(self, *args: Any, **kwargs: Any) -> None:
        """As of Stable-Baselines3, or from a file that `save` wrote."""
        self.settle()
        super().set_parameters(*args, **kwargs)
