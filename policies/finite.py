"""Numbers that are not finite stop a training: what they are, where they came from, and what to do about it."""

from collections.abc import Sequence
from typing import Any

import torch

from envs.observations import Term

LISTED = 8
"""Worlds, weights and the like that are named at most."""
ADVICE = {
    "observation": "look at the sensors and physics behind it, and end episodes that leave the finite numbers",
    "reward": "look at the task's reward terms for divisions, roots and logarithms",
    "action": "the policy's own weights are too large: lower the learning rate",
    "value estimate": "the critic's own weights are too large: lower the learning rate",
}
"""What to do about a rollout in which one of these is not finite."""


class DivergedError(RuntimeError):
    """Training left the finite numbers; the message says where."""


def refuse_rollout(buffer: Any, num_timesteps: int) -> None:
    """Check a rollout.

    Raises:
        DivergedError: something in it is not finite.
    """
    reason = rollout_reason(buffer, num_timesteps)
    if reason:
        raise DivergedError(reason)


def rollout_reason(buffer: Any, num_timesteps: int, terms: Sequence[Term] = ()) -> str:
    """What is wrong with a rollout that ended at `num_timesteps` steps; nothing if it is fine."""
    parts = (buffer.observations, buffer.rewards, buffer.actions, buffer.values[:-1])
    for name, tensor in zip(ADVICE, parts, strict=True):
        wrong = ~tensor.isfinite()
        if wrong.any():
            worlds, named = worlds_with(wrong), named_terms(terms, wrong) if name == "observation" else {}
            of = f" of {listed([*named])}" if named else ""
            where = f"{len(worlds)} of {tensor.shape[1]} worlds (the first: {listed(worlds)})"
            return f"non-finite {name}{of} in {where} before {num_timesteps} steps; {ADVICE[name]}"
    return ""


def worlds_with(wrong: torch.Tensor) -> list[int]:
    """Worlds with any True of (num_steps, num_envs, ...)."""
    return wrong.any(0).reshape(wrong.shape[1], -1).any(-1).nonzero()[:, 0].tolist()


def named_terms(terms: Sequence[Term], wrong: torch.Tensor) -> dict[str, int]:
    """Observation terms with a True of (..., width), and how many; channels if the terms are of another width."""
    channels = wrong.flatten(0, -2).sum(0).tolist()
    names = [term.name for term in terms for _ in range(term.width)]
    names = names if len(names) == len(channels) else [f"channel {index}" for index in range(len(channels))]
    counts: dict[str, int] = {}
    for name, count in zip(names, channels, strict=True):
        counts[name] = counts.get(name, 0) + count
    return {name: count for name, count in counts.items() if count}


def listed(names: list[Any]) -> str:
    """The first few."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(map(str, names[:LISTED])) + more


def refuse_weights(parameters: list[torch.nn.Parameter], num_timesteps: int, learning_rate: float) -> None:
    """Check what an update made.

    Raises:
        DivergedError: weights are not finite.
    """
    if not all(torch.isfinite(parameter).all() for parameter in parameters):
        raise DivergedError(
            f"weights are not finite after {num_timesteps} steps at learning rate {learning_rate:g}; lower "
            "target_divergence or learning_rate"
        )
