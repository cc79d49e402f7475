"""A run that has come apart stops, says why in one sentence, and leaves a post-mortem.

What counts as apart: weights, losses, observations or rewards that are not finite; updates that jump far from the
policy that collected their data, several times running; exploration that died out or swamps the action.
"""

import json
import math
import os
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from stable_baselines3.common.callbacks import BaseCallback

from envs.observations import Term
from policies.files import checkpoint
from policies.finite import LISTED, DivergedError, listed, rollout_reason, worlds_with
from policies.finite import named_terms as named_terms
from policies.ppo import PPO

POST_MORTEM = "post_mortem.json"
"""Beside the run's checkpoints."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Where a run counts as come apart; far from what healthy runs show."""

    divergence_factor: float = 50.0
    """KL divergence of an update over its target."""
    updates: int = 5
    """Updates beyond that, one after the other."""
    least_std: float = 1e-3
    """All actions explored less than this: dimensionless, an action is around 1."""
    greatest_std: float = 1e2
    """Any action explored more than this."""


class DivergenceWatch(BaseCallback):
    """Looks at every rollout and every update of a `PPO`; usable as any Stable-Baselines3 callback.

    Args:
        file: The run's checkpoint: the post-mortem goes beside it. None writes none.
        limits: Where a run counts as come apart.
        remembered: Updates whose figures the post-mortem tells.
    """

    def __init__(self, file: Path | None = None, limits: Limits = Limits(), remembered: int = 20) -> None:
        super().__init__()
        self.file, self.limits = file, limits
        self.updates: deque[dict[str, float]] = deque(maxlen=remembered)
        self.error: DivergedError | None = None
        """With which it ended the run."""
        self.seen = -1
        """The learner's count of epochs when its last update was looked at."""
        self.far = 0
        """Updates, one after the other, beyond the divergence that is allowed."""

    @property
    def ppo(self) -> PPO:
        return cast(PPO, self.model)

    def _on_rollout_start(self) -> None:
        self._look_at_update()

    def _on_rollout_end(self) -> None:
        reason = rollout_reason(self.ppo.rollout_buffer, self.ppo.num_timesteps, terms_of(self.ppo))
        if reason:
            self.stop(reason)

    def _on_training_end(self) -> None:
        self._look_at_update()

    def _on_step(self) -> bool:
        return True

    def _look_at_update(self) -> None:
        ppo, figures = self.ppo, self.ppo.last_update
        if figures and ppo._n_updates != self.seen:
            self.seen = ppo._n_updates
            self.updates.append({"env_steps": ppo.num_timesteps, **figures})
            limit = self.limits.divergence_factor * ppo.target_divergence
            self.far = self.far + 1 if figures.get("divergence", 0.0) > limit else 0
        reason = update_reason(self.ppo, self.limits, self.far)
        if reason:
            self.stop(reason)

    def stop(self, reason: str) -> None:
        """Write the post-mortem and end the run.

        Raises:
            DivergedError: always.
        """
        where = self.post_mortem(reason)
        self.error = DivergedError(f"{reason}; post-mortem: {where}" if where else reason)
        raise self.error

    def post_mortem(self, reason: str) -> Path | None:
        """Write what is known of a run that ends for `reason`; None without a file to put it beside."""
        if self.file is None:
            return None
        return write(self.file, reason, examine(self.ppo) | {"updates": list(self.updates)})


def write(file: Path, reason: str, found: dict[str, Any]) -> Path:
    """Write what is known of the run with the checkpoint `file`, which ends for `reason`; returns the post-mortem."""
    path = file.with_name(POST_MORTEM)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {"schema": 1, "reason": reason, **found, "checkpoint": _last_checkpoint(file)}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")  # each of several ranks may write
    temporary.write_text(json.dumps(_json(whole), indent=2, allow_nan=False) + "\n")
    os.replace(temporary, path)
    return path


def update_reason(ppo: PPO, limits: Limits, far: int) -> str:
    """What is wrong with the learner as it is; nothing if it is fine.

    Args:
        ppo: The learner.
        limits: Where it counts as come apart.
        far: Updates, one after the other, that went too far.
    """
    weights = nonfinite_weights(ppo)
    figures = [name for name, value in ppo.last_update.items() if not math.isfinite(value)]
    std, at = ppo.policy.log_std.detach().exp(), f"after {ppo.num_timesteps} steps"
    if weights:
        return f"weights are not finite {at} ({listed(weights)}); lower the learning rate or target_divergence"
    if figures:
        return f"{listed(figures)} of the last update is not finite {at}; lower the learning rate"
    if far >= limits.updates:
        return (
            f"{far} updates running moved the policy by more than {limits.divergence_factor:g} times target_divergence "
            f"{at}; lower the learning rate, or raise the rollout"
        )
    if std.max() < limits.least_std:
        return (
            f"exploration collapsed {at}: its deviation is at most {std.max():.2g}, below {limits.least_std:g}; raise "
            "entropy_coefficient"
        )
    if std.max() > limits.greatest_std:
        return (
            f"exploration exploded {at}: its deviation reaches {std.max():.2g}, above {limits.greatest_std:g}; lower "
            "entropy_coefficient"
        )
    return ""


def nonfinite_weights(ppo: PPO) -> list[str]:
    """Names of weights and statistics that are not finite; while the critic still learns, of the others."""
    learning = "critic." if ppo._critic_update is not None else "nothing."
    state = ppo.policy.state_dict()
    return [name for name in state if not name.startswith(learning) and not state[name].isfinite().all()]


def examine(ppo: PPO) -> dict[str, Any]:
    """Figures of the learner, of its last rollout, and of where either is not finite."""
    buffer, policy = ppo.rollout_buffer, ppo.policy
    parts = {
        "observations": buffer.observations,
        "rewards": buffer.rewards,
        "actions": buffer.actions,
        "values": buffer.values[:-1],
        "advantages": buffer.advantages,
    }
    return {
        "env_steps": ppo.num_timesteps,
        "learning_rate": ppo.adaptive_rate,
        "std": policy.log_std.detach().exp().tolist(),
        "nonfinite_weights": nonfinite_weights(ppo),
        "rollout": {name: _figures(tensor) for name, tensor in parts.items()}
        | {"episodes_ended": int(buffer.ended.sum())},
        "nonfinite_terms": named_terms(terms_of(ppo), ~buffer.observations.isfinite()),
        "last_update": ppo.last_update,
        "hyperparameters": asdict(ppo.hyperparameters),
    }


def terms_of(ppo: PPO) -> tuple[Term, ...]:
    """What the observations of the worlds are made up of; nothing if they do not say."""
    return getattr(getattr(ppo.env, "env", None), "terms", ())


def _figures(tensor: torch.Tensor) -> dict[str, Any]:
    """Of (num_steps, num_envs, ...): what is finite, and the worlds in which something is not."""
    finite = tensor[tensor.isfinite()].double()
    some = finite.numel() > 0
    return {
        "mean": finite.mean().item() if some else None,
        "least": finite.min().item() if some else None,
        "greatest": finite.max().item() if some else None,
        "nonfinite": int((~tensor.isfinite()).sum()),
        "worlds": worlds_with(~tensor.isfinite())[:LISTED],
    }


def _last_checkpoint(file: Path) -> dict[str, Any] | None:
    """The newest checkpoint that is whole, from before."""
    for candidate in checkpoint.candidates(file):
        try:
            return {"file": str(candidate), "env_steps": checkpoint.load(candidate)[1].get("env_steps")}
        except (FileNotFoundError, ValueError):
            continue
    return None


def _json(value: Any) -> Any:
    """The same with numbers that JSON does not have as text."""
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
