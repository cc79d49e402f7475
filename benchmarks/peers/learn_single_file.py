"""PPO in one file, in the manner of CleanRL: Gymnasium's own wrappers and vector environments, eager torch, Adam.

Its usual settings: 2048 steps a rollout, 32 minibatches, 10 epochs, two 64×64 tanh networks, orthogonal weights.
"""

import gymnasium
import numpy as np
import torch
from serve import arguments, serve
from torch import nn

ROLLOUT, MINIBATCHES, EPOCHS = 2048, 32, 10
GAMMA, LAMBDA, CLIP, MAX_NORM, RATE = 0.99, 0.95, 0.2, 0.5, 3e-4


def make() -> gymnasium.Env:
    env = gymnasium.make("HalfCheetah-v5", disable_env_checker=True)
    env = gymnasium.wrappers.NormalizeObservation(gymnasium.wrappers.ClipAction(env))
    return gymnasium.wrappers.NormalizeReward(env, gamma=GAMMA)


def layer(inputs: int, outputs: int, gain: float = 2.0**0.5) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(linear.weight, gain)
    nn.init.zeros_(linear.bias)
    return linear


def network(outputs: int, gain: float) -> nn.Sequential:
    return nn.Sequential(layer(17, 64), nn.Tanh(), layer(64, 64), nn.Tanh(), layer(64, outputs, gain))


given = arguments()
torch.set_num_threads(1)
torch.manual_seed(0)
envs = gymnasium.vector.SyncVectorEnv([make] * given.num_envs)
actor, critic, log_std = network(6, 0.01), network(1, 1.0), nn.Parameter(torch.zeros(6))
parameters = [*actor.parameters(), *critic.parameters(), log_std]
optimizer = torch.optim.Adam(parameters, lr=RATE, eps=1e-5)
steps = ROLLOUT // given.num_envs
observation = torch.as_tensor(envs.reset(seed=0)[0], dtype=torch.float32)
shape = (steps, given.num_envs)
observations, actions = torch.zeros(*shape, 17), torch.zeros(*shape, 6)
log_probs, rewards, dones, values = (torch.zeros(shape) for _ in range(4))
done = torch.zeros(given.num_envs)


def rollout() -> torch.Tensor:
    global observation, done
    for t in range(steps):
        observations[t], dones[t] = observation, done
        with torch.no_grad():
            distribution = torch.distributions.Normal(actor(observation), log_std.exp())
            action = distribution.sample()
            values[t], log_probs[t] = critic(observation)[:, 0], distribution.log_prob(action).sum(-1)
        actions[t] = action
        following, reward, terminated, truncated, _ = envs.step(action.numpy())
        rewards[t], done = torch.as_tensor(reward), torch.as_tensor(np.logical_or(terminated, truncated)).float()
        observation = torch.as_tensor(following, dtype=torch.float32)
    return advantages()


@torch.no_grad()
def advantages() -> torch.Tensor:
    estimate, last = torch.zeros(shape), torch.zeros(given.num_envs)
    following, alive = critic(observation)[:, 0], 1.0 - done
    for t in reversed(range(steps)):
        delta = rewards[t] + GAMMA * following * alive - values[t]
        estimate[t] = last = delta + GAMMA * LAMBDA * alive * last
        following, alive = values[t], 1.0 - dones[t]
    return estimate


def update(estimate: torch.Tensor) -> None:
    flat = [part.flatten(0, 1) for part in (observations, actions, log_probs, estimate, estimate + values)]
    for _ in range(EPOCHS):
        for rows in torch.randperm(ROLLOUT).chunk(MINIBATCHES):
            state, action, old, advantage, target = (part[rows] for part in flat)
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            distribution = torch.distributions.Normal(actor(state), log_std.exp())
            ratio = (distribution.log_prob(action).sum(-1) - old).exp()
            gain = torch.min(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage).mean()
            loss = 0.5 * (critic(state)[:, 0] - target).square().mean() * 0.5 - gain
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, MAX_NORM)
            optimizer.step()


def advance() -> int:
    update(rollout())
    return ROLLOUT


serve(advance)
