"""What Stable-Baselines3's PPO saved, read without running what is in it.

A zip of Stable-Baselines3 is made to be unpickled, which runs whatever code it names. Here only its text is read, and
its weights by torch's weights-only reader; `sb3_statistics` reads the VecNormalize that may lie beside it.
"""

import io
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from envs.state_dicts import Tensors
from policies.files.sb3_statistics import Statistics, statistics

SETTINGS = {
    "num_steps": "n_steps",
    "num_epochs": "n_epochs",
    "learning_rate": "learning_rate",
    "gamma": "gamma",
    "gae_lambda": "gae_lambda",
    "value_coefficient": "vf_coef",
    "entropy_coefficient": "ent_coef",
    "max_grad_norm": "max_grad_norm",
}
"""Names of ours -> those of Stable-Baselines3."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An `MlpPolicy` of stock PPO."""

    actor: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    """(weight, bias) of each layer."""
    critic: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    log_std: torch.Tensor
    activation: str
    low: np.ndarray
    high: np.ndarray
    """Of the action space."""
    env_steps: int
    observation: Statistics
    """What it went through before the policy saw it."""
    settings: dict[str, Any]
    """Hyperparameters that ours has too."""
    num_envs: int

    @property
    def hidden(self) -> tuple[int, ...]:
        return tuple(len(bias) for _, bias in self.actor[:-1])

    @property
    def width(self) -> int:
        return self.actor[0][0].shape[1]

    @property
    def num_actions(self) -> int:
        return len(self.log_std)


def read(path: Path) -> Archive:
    """The policy in a zip.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no zip of PPO with an MlpPolicy and continuous actions.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    data, weights = _parts(path)
    _refuse_other_kinds(path, weights, data)
    low, high = (_numbers(path, data.get("action_space"), name) for name in ("low", "high"))
    actor, critic = _layers(weights, "policy", "action"), _layers(weights, "value", "value")
    shapes = [[len(bias) for _, bias in layers[:-1]] for layers in (actor, critic)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"{path}: actor and critic must have the same hidden layers, they have {shapes}; train it anew"
        )
    return Archive(
        actor=actor,
        critic=critic,
        log_std=weights["log_std"].float(),
        activation=_activation(path, data),
        low=low,
        high=high,
        env_steps=int(data.get("num_timesteps", 0)),
        observation=statistics(path, actor[0][0].shape[1]),
        settings=_settings(data),
        num_envs=int(data.get("n_envs", 1)),
    )


def _parts(path: Path) -> tuple[dict[str, Any], Tensors]:
    """The text of a zip, and its weights."""
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
            weights = torch.load(io.BytesIO(archive.read("policy.pth")), map_location="cpu", weights_only=True)
    except Exception as error:  # zips and pickles fail in many ways
        raise ValueError(f"{path} is no zip that Stable-Baselines3 saved ({' '.join(str(error).split())})") from error
    if not isinstance(data, dict) or not isinstance(weights, dict):
        raise ValueError(f"{path} is no zip that Stable-Baselines3 saved: its data and weights must have names")
    return data, weights


def _settings(data: dict[str, Any]) -> dict[str, Any]:
    """Hyperparameters, as far as they are plain numbers; the learning rate stays fixed, as there."""
    found = {ours: data[theirs] for ours, theirs in SETTINGS.items() if isinstance(data.get(theirs), (int, float))}
    batch = data.get("n_steps", 1) * data.get("n_envs", 1)
    return found | {"num_minibatches": max(1, batch // data.get("batch_size", batch)), "adaptive": False}


def _refuse_other_kinds(path: Path, weights: Tensors, data: dict[str, Any]) -> None:
    known = re.compile(
        r"log_std|mlp_extractor\.(policy|value)_net\.\d+\.(weight|bias)|(action|value)_net\.(weight|bias)"
    )
    others = [name for name in weights if not known.fullmatch(name)]
    if not others and not all(value.isfinite().all() for value in weights.values()):
        raise ValueError(f"{path} holds weights that are not finite: its training diverged")
    if others or "log_std" not in weights or weights["log_std"].dim() != 1 or data.get("use_sde"):
        raise ValueError(
            f"{path} must hold PPO with an MlpPolicy and continuous actions, without gSDE and without layers of its own"
            f"; it has {', '.join(others[:4]) or 'other parts'}"
        )


def _layers(weights: Tensors, part: str, head: str) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
    """Hidden layers of "policy" or "value" in order, then the layer called "action" or "value"."""
    found = [re.fullmatch(rf"mlp_extractor\.{part}_net\.(\d+)\.weight", name) for name in weights]
    places = sorted(int(match[1]) for match in found if match)
    names = [f"mlp_extractor.{part}_net.{place}." for place in places] + [f"{head}_net."]
    return tuple((weights[f"{name}weight"].float(), weights[f"{name}bias"].float()) for name in names)


def _activation(path: Path, data: dict[str, Any]) -> str:
    """Of the hidden layers, from the text beside the pickle; tanh is what Stable-Baselines3 takes by itself."""
    kwargs = data.get("policy_kwargs") or {}
    told = kwargs.get("activation_fn", "<class 'torch.nn.modules.activation.Tanh'>")
    name = re.sub(r".*\.(\w+)'>$", r"\1", str(told)).lower()
    if name not in ("tanh", "relu", "elu"):
        raise ValueError(f"{path}: activation must be tanh, relu or elu, got {told}")
    return name


def _numbers(path: Path, space: Any, name: str) -> np.ndarray:
    """The bound "low" or "high" of a box, from its text."""
    space = space if isinstance(space, dict) else {}
    shape = space.get("_shape")
    values = [float(word) for word in re.findall(r"[-+]?(?:inf|\d[\d.]*(?:e[-+]?\d+)?|\.\d+)", str(space.get(name)))]
    if shape is None or len(shape) != 1 or len(values) != shape[0]:
        raise ValueError(f"{path}: actions must be a flat box with bounds, got {space.get(':type:')} of shape {shape}")
    return np.array(values)
