"""Proximal policy optimization as a Stable-Baselines3 `PPO` whose rollout stays in torch tensors.

Schulman et al. 2017, arXiv:1707.06347; the learning rate follows the KL divergence of the updates (after
Rudin et al. 2021, arXiv:2109.11978). Every random number comes from one owned generator, so that a restored run
continues bit for bit. With an environment that offers `step_tensor` no per-environment Python runs; any other SB3
VecEnv works too.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import stable_baselines3
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from policies.networks import ActorCritic
from policies.rollout import TorchRolloutBuffer

MIN_LEARNING_RATE, MAX_LEARNING_RATE = 3e-5, 3e-3


class DivergedError(RuntimeError):
    """Training left the finite numbers; the message says where."""


class PPO(stable_baselines3.PPO):
    """PPO for hundreds of environments in few processes.

    Args:
        policy: Class of the policy, normally `ActorCritic`.
        env: SB3 vector environment.
        num_steps: Control steps of a rollout.
        num_minibatches: Minibatches an epoch.
        target_divergence: KL divergence from the rollout's policy that an update should reach [nat]; the learning rate
            adapts to it from update to update. Adapting within an update oscillates: half of its steps did nothing.
        value_coefficient: Weight of the value loss.
        seed: Of the owned generator: initial weights, exploration, minibatches.
        Other arguments are those of Stable-Baselines3.
    """

    policy: ActorCritic
    rollout_buffer: TorchRolloutBuffer
    _last_obs: Any
    normalizer_learns = True
    """Whether the running mean and deviation of observations follow the rollouts."""

    def __init__(
        self,
        policy: type[ActorCritic],
        env: VecEnv,
        *,
        num_steps: int = 24,
        num_minibatches: int = 6,
        n_epochs: int = 5,
        learning_rate: float = 1e-3,
        gamma: float = 0.97,
        gae_lambda: float = 0.95,
        clip_range: float = 0.2,
        target_divergence: float = 0.03,
        value_coefficient: float = 1.0,
        max_grad_norm: float = 1.0,
        seed: int = 0,
        policy_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.target_divergence, self.num_minibatches = target_divergence, num_minibatches
        self.adaptive_rate = learning_rate
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # torch.nn draws initial weights from the global generator
            super().__init__(
                policy,
                env,
                n_steps=num_steps,
                batch_size=max(2, num_steps * env.num_envs // num_minibatches),
                n_epochs=n_epochs,
                learning_rate=learning_rate,
                gamma=gamma,
                gae_lambda=gae_lambda,
                clip_range=clip_range,
                vf_coef=value_coefficient,
                max_grad_norm=max_grad_norm,
                rollout_buffer_class=TorchRolloutBuffer,
                policy_kwargs={"generator": self.generator} | (policy_kwargs or {}),
                device="cpu",
                **kwargs,
            )

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seed the owned generator, and nothing global."""
        if seed is not None:
            self.generator.manual_seed(seed)

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: TorchRolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill the buffer with `n_rollout_steps` control steps."""
        buffer, step = rollout_buffer, getattr(env, "step_tensor", None) or _TensorStep(env)
        observation = torch.as_tensor(self._last_obs, dtype=torch.float32)
        callback.on_rollout_start()
        for t in range(n_rollout_steps):
            with torch.no_grad():
                normalized = self.policy.normalizer(observation)
                mean = self.policy.action_mean(normalized)
                action = self.policy.sample(mean)
                buffer.values[t], buffer.log_probs[t] = (
                    self.policy.value(normalized),
                    self.policy.log_prob(action, mean),
                )
            buffer.observations[t], buffer.actions[t], buffer.means[t] = observation, action, mean
            observation, reward, terminated, truncated, final = step(action)
            buffer.rewards[t] = self._bootstrapped(reward, truncated, final)
            buffer.ended[t] = (terminated | truncated).float()
            self.num_timesteps += env.num_envs
            self._last_obs = observation
            if not callback.on_step():
                return False
        with torch.no_grad():
            buffer.values[n_rollout_steps] = self.policy.value(self.policy.normalizer(observation))
        buffer.compute_advantages()
        callback.on_rollout_end()
        return True

    def _bootstrapped(self, reward: torch.Tensor, truncated: torch.Tensor, final: torch.Tensor | None) -> torch.Tensor:
        """Reward plus the value of what a time limit cut off (Pardo et al. 2018, arXiv:1712.00378)."""
        if final is None or not truncated.any():
            return reward
        with torch.no_grad():
            return reward + self.gamma * truncated * self.policy.value(self.policy.normalizer(final))

    def train(self) -> None:
        """Several epochs of clipped policy and value updates on the rollout.

        Actor and critic share no weights, so each is updated on a thread of its own: same numbers, half the time.
        """
        buffer, policy = self.rollout_buffer, self.policy
        raw = buffer.observations.flatten(0, 1)
        with torch.no_grad():
            observations = policy.normalizer(raw)
        batch = {name: getattr(buffer, name).flatten(0, 1) for name in ("actions", "means", "log_probs", "advantages")}
        advantages = batch["advantages"]
        batch["advantages"] = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        minibatches = [rows for _ in range(self.n_epochs) for rows in self._shuffled(len(raw))]
        with ThreadPoolExecutor(1) as pool:
            critic = pool.submit(self._train_critic, observations, buffer.returns.flatten(), minibatches)
            self._train_actor(observations, batch, minibatches)
            critic.result()
        if self.normalizer_learns:
            policy.normalizer.update(raw)  # after the update, so that old and new probabilities see the same inputs
        self._n_updates += self.n_epochs
        self.logger.record("train/learning_rate", self.adaptive_rate)
        self.logger.record("train/std", policy.log_std.exp().mean().item())
        self._refuse_nonsense()

    def _shuffled(self, num_samples: int) -> tuple[torch.Tensor, ...]:
        return torch.randperm(num_samples, generator=self.generator).chunk(self.num_minibatches)

    def _train_actor(
        self, observations: torch.Tensor, batch: dict[str, torch.Tensor], minibatches: list[torch.Tensor]
    ) -> None:
        policy, clip = self.policy, self.clip_range(1.0)
        old_log_std = policy.log_std.detach().clone()
        divergences = []
        for rows in minibatches:
            mean = policy.action_mean(observations[rows])
            divergences.append(
                _kl_divergence(batch["means"][rows], old_log_std, mean.detach(), policy.log_std.detach())
            )
            if divergences[-1] > 4.0 * self.target_divergence:
                break  # this rollout says nothing about policies so far away
            ratio = (policy.log_prob(batch["actions"][rows], mean) - batch["log_probs"][rows]).exp()
            advantages = batch["advantages"][rows]
            surrogate = torch.min(advantages * ratio, advantages * ratio.clamp(1.0 - clip, 1.0 + clip)).mean()
            self._descend(
                policy.optimizer, policy.actor_parameters, self.extra_loss(observations[rows], mean) - surrogate
            )
        self._adapt_rate(float(np.mean(divergences[-self.num_minibatches :])))

    def _train_critic(self, observations: torch.Tensor, returns: torch.Tensor, minibatches: list[torch.Tensor]) -> None:
        policy = self.policy
        for rows in minibatches:
            loss = self.vf_coef * (policy.value(observations[rows]) - returns[rows]).square().mean()
            self._descend(policy.critic_optimizer, list(policy.critic.parameters()), loss)

    def _descend(
        self, optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter], loss: torch.Tensor
    ) -> None:
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        optimizer.step()

    def extra_loss(self, observations: torch.Tensor, mean: torch.Tensor) -> torch.Tensor | float:
        """A term that transfer strategies add to the actor's loss, () for normalized observations and action means."""
        return 0.0

    def _adapt_rate(self, divergence: float) -> None:
        if divergence > 1.5 * self.target_divergence:
            self.adaptive_rate = max(MIN_LEARNING_RATE, self.adaptive_rate / 1.3)
        elif divergence < 0.7 * self.target_divergence:
            self.adaptive_rate = min(MAX_LEARNING_RATE, self.adaptive_rate * 1.3)
        for group in self.policy.optimizer.param_groups:
            group["lr"] = self.adaptive_rate

    def _refuse_nonsense(self) -> None:
        if not all(torch.isfinite(parameter).all() for parameter in self.policy.parameters()):
            raise DivergedError(
                f"weights are not finite after {self.num_timesteps} steps at learning rate {self.adaptive_rate:g}; "
                "lower target_divergence, or look for NaN in the environment's observations and rewards"
            )


def _kl_divergence(old: torch.Tensor, old_log_std: torch.Tensor, new: torch.Tensor, new_log_std: torch.Tensor) -> float:
    """Mean KL(old ‖ new) of diagonal Gaussians [nat]."""
    variance_ratio = (2.0 * (old_log_std - new_log_std)).exp()
    shift = ((new - old) / new_log_std.exp()).square()
    return (0.5 * (variance_ratio + shift - 1.0) + new_log_std - old_log_std).sum(-1).mean().item()


class _TensorStep:
    """`step_tensor` for an ordinary SB3 VecEnv."""

    def __init__(self, env: VecEnv) -> None:
        self.env = env

    def __call__(self, action: torch.Tensor) -> tuple[torch.Tensor, ...]:
        space = self.env.action_space
        clipped = np.clip(action.numpy(), space.low, space.high)
        observation, reward, done, infos = self.env.step(clipped)
        next_observation = torch.as_tensor(observation, dtype=torch.float32)
        truncated = np.array([info.get("TimeLimit.truncated", False) for info in infos])
        final = next_observation.clone()
        for index in np.flatnonzero(done):
            final[index] = torch.as_tensor(infos[index]["terminal_observation"], dtype=torch.float32)
        ended, cut = torch.as_tensor(done), torch.as_tensor(truncated)
        return next_observation, torch.as_tensor(reward, dtype=torch.float32), ended & ~cut, ended & cut, final
