"""All that a PPO learner's next update depends on, as named tensors and JSON data.

The worlds it learns in are not part of it: who resumes a run exactly puts back their state too.
"""

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from envs.state_dicts import Tensors, prefixed, without_prefix
from policies.files import checkpoint

if TYPE_CHECKING:
    from policies.ppo import PPO

COUNTERS = (
    "num_timesteps",
    "_n_updates",
    "_episode_num",
    "_total_timesteps",
    "_num_timesteps_at_start",
    "_current_progress_remaining",
)
"""Attributes in which Stable-Baselines3 counts."""
BUFFERS = ("ep_info_buffer", "ep_success_buffer")
"""Attributes in which it keeps the last episodes for its log."""
ATTRIBUTES = ("_last_obs", "_last_episode_starts")
"""Attributes that the next rollout begins with; absent before the first."""


def learner_state(ppo: "PPO") -> tuple[Tensors, dict[str, Any]]:
    """Weights, moments, normalizer, generator, last observation; rates, counters, the last episodes."""
    ppo.settle()
    optimizers = {"actor": ppo.policy.optimizer, "critic": ppo.policy.critic_optimizer}
    tensors = prefixed("policy", dict(ppo.policy.state_dict()))
    for name, optimizer in optimizers.items():
        tensors |= prefixed(f"{name}_optimizer", checkpoint.optimizer_tensors(optimizer))
    tensors["generator"] = ppo.generator.get_state()
    tensors |= prefixed("running_episodes", ppo.episodes.state_dict())
    for name in ATTRIBUTES:
        if getattr(ppo, name) is not None:
            tensors[name.removeprefix("_").replace("last_obs", "last_observation")] = torch.as_tensor(
                getattr(ppo, name)
            )
    return tensors, {
        "adaptive_rate": ppo.adaptive_rate,
        "rates": {name: optimizer.param_groups[0]["lr"] for name, optimizer in optimizers.items()},
        "counters": {name: getattr(ppo, name) for name in COUNTERS},
        "episodes": {name: _plain(getattr(ppo, name)) for name in BUFFERS},
        "last_update": ppo.last_update,
    }


def restore_learner(ppo: "PPO", tensors: Tensors, record: dict[str, Any]) -> None:
    """Continue where `learner_state` was taken.

    Raises:
        ValueError: the weights are those of another network.
    """
    ppo.settle()
    load_weights(ppo, without_prefix("policy", tensors))
    rates = record.get("rates", {"actor": record["adaptive_rate"], "critic": ppo.learning_rate})
    for name, optimizer in (("actor", ppo.policy.optimizer), ("critic", ppo.policy.critic_optimizer)):
        checkpoint.load_optimizer(optimizer, without_prefix(f"{name}_optimizer", tensors), rates[name])
    ppo.generator.set_state(tensors["generator"])
    ppo.episodes.load_state_dict(without_prefix("running_episodes", tensors))
    ppo.adaptive_rate = record["adaptive_rate"]
    ppo._last_obs = _on(tensors.get("last_observation"), ppo.device)
    starts = tensors.get("last_episode_starts")
    ppo._last_episode_starts = starts if starts is None else starts.numpy()
    ppo.last_update = dict(record.get("last_update", {}))
    for name, value in record["counters"].items():
        setattr(ppo, name, value)
    for name, episodes in record.get("episodes", {}).items():
        kept = None if episodes is None else deque(episodes, maxlen=ppo._stats_window_size)
        setattr(ppo, name, kept)


def load_weights(ppo: "PPO", weights: Tensors) -> None:
    """Put weights and normalizer into the policy.

    Raises:
        ValueError: they are those of another network; the message names what differs.
    """
    own = ppo.policy.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        expected, found = (tuple(each[name].shape) if name in each else None for each in (own, weights))
        if expected != found:
            raise ValueError(
                f"the network must have {name} of shape {expected}, the file has {found}: its sizes, or what the robot "
                "observes, differ; name the robot, task and network that it was saved with"
            )
    ppo.policy.load_state_dict(weights)


def _on(tensor: torch.Tensor | None, device: torch.device) -> torch.Tensor | None:
    return None if tensor is None else tensor.to(device)


def _plain(episodes: deque[Any] | None) -> list[Any] | None:
    """Episodes as JSON data: numbers of numpy become Python's."""
    if episodes is None:
        return None
    return [
        {key: np.asarray(value).tolist() for key, value in each.items()}
        if isinstance(each, dict)
        else np.asarray(each).tolist()
        for each in episodes
    ]
