"""Worlds as a Stable-Baselines3 VecEnv, without Python per environment."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from envs.actions import ACTION_CLIP
from envs.worlds import Worlds


class Sb3VecEnv(VecEnv):
    """What SB3's algorithms, callbacks and `evaluate_policy` expect, and `step_tensor` for `policies.ppo.PPO`."""

    def __init__(self, env: Worlds) -> None:
        self.env = env
        observation_space = spaces.Box(-np.inf, np.inf, (env.width,), np.float32)
        super().__init__(
            env.num_envs, observation_space, spaces.Box(-ACTION_CLIP, ACTION_CLIP, (env.spec.num_joints,), np.float32)
        )

    def reset(self) -> np.ndarray:
        return self.env.reset().cpu().numpy()

    def step_tensor(self, action: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(observation, reward, terminated, truncated, final observation or None), all (num_envs, ...)."""
        step = self.env.step(action)
        return step.observation, step.reward, step.terminated, step.truncated, step.final_observation  # type: ignore[return-value]

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = torch.as_tensor(actions, dtype=torch.float32, device=device_of(self))

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        step = self.env.step(self._actions)
        done = step.terminated | step.truncated
        infos: list[dict[str, Any]] = [{}] * self.num_envs
        for index in done.nonzero()[:, 0].tolist():
            final = step.final_observation[index].cpu().numpy()  # type: ignore[index]
            infos[index] = {"terminal_observation": final, "TimeLimit.truncated": bool(step.truncated[index])}
        return step.observation.cpu().numpy(), step.reward.cpu().numpy(), done.cpu().numpy(), infos

    def close(self) -> None:
        """Nothing to release: worlds are memory."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        value = None if attr_name == "render_mode" else getattr(self.env, attr_name)  # SB3 asks: worlds are not drawn
        return [value] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise AttributeError(f"worlds share their attributes: set {attr_name!r} on the VectorEnv itself")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return [getattr(self.env, method_name)(*args, **kwargs)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False] * len(list(self._get_indices(indices)))

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        if seed is not None:
            self.env.generator.manual_seed(seed)
        return [seed] * self.num_envs


class TensorStep:
    """`step_tensor` for an ordinary SB3 VecEnv.

    Attributes:
        infos: Those of the last step.
    """

    def __init__(self, env: VecEnv, device: torch.device | str = "cpu") -> None:
        self.env, self.device = env, device
        self.infos: list[dict[str, Any]] = []

    def __call__(self, action: torch.Tensor) -> tuple[torch.Tensor, ...]:
        space = self.env.action_space
        assert isinstance(space, spaces.Box)
        observation, reward, done, self.infos = self.env.step(np.clip(action.cpu().numpy(), space.low, space.high))
        following = self._tensor(observation)
        truncated = np.array([info.get("TimeLimit.truncated", False) for info in self.infos])
        final = following.clone()
        for index in np.flatnonzero(done):
            final[index] = self._tensor(self.infos[index]["terminal_observation"])
        ended, cut = (torch.as_tensor(flags, device=self.device) for flags in (done, truncated))
        return following, self._tensor(reward), ended & ~cut, ended & cut, final

    def _tensor(self, values: Any) -> torch.Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)


def step_of(env: VecEnv, device: torch.device | str = "cpu") -> Callable[[torch.Tensor], tuple[torch.Tensor, ...]]:
    """`step_tensor` of `env`, or the same by way of arrays.

    A wrapper hands on the attributes of what it wraps, but a step past it would miss what it does.
    """
    own = None if isinstance(env, VecEnvWrapper) else getattr(env, "step_tensor", None)
    return own or TensorStep(env, device)


def device_of(env: VecEnv) -> torch.device:
    """Where the observations of `env` are."""
    return torch.device(getattr(getattr(env, "env", None), "device", "cpu"))


def worlds_of(env: VecEnv) -> Worlds:
    """The worlds behind `env`.

    Raises:
        ValueError: it is some other environment.
    """
    worlds: Any = None if isinstance(env, VecEnvWrapper) else getattr(env, "env", None)
    if not hasattr(worlds, "terms"):
        raise ValueError(f"mirror: true needs the worlds of a legged robot (Sb3VecEnv), got {type(env).__name__}")
    return worlds


def sb3_locals(
    observation: torch.Tensor, action: torch.Tensor, reward: torch.Tensor, ended: torch.Tensor, step: Any
) -> dict[str, Any]:
    """What callbacks find in `self.locals` under SB3's names: arrays, or tensors where they are on a GPU."""
    tensors = {"new_obs": observation, "actions": action, "rewards": reward, "dones": ended.bool()}
    on_cpu = observation.device.type == "cpu"
    found: dict[str, Any] = {name: value.numpy() if on_cpu else value for name, value in tensors.items()}
    return found | {"infos": getattr(step, "infos", [{}] * len(observation))}
