"""Policies of Stable-Baselines3's own PPO, converted once into files that run no code.

The import must be asked for: `sb3_archive` runs nothing that is in a zip, but a file of unknown origin may
hold any weights. The network is kept, not learned anew: normalization and clipping become part of our normalizer, what
an environment makes of an action becomes part of the last layer.
"""

import hashlib
import math
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from envs import embodiments
from envs.actions import ACTION_CLIP
from envs.observations import Term
from envs.state_dicts import Tensors, prefixed
from envs.task import TaskSpec
from policies.files import checkpoint, policy_file
from policies.files.sb3_archive import Archive, read
from policies.files.sb3_statistics import statistics_file
from policies.hyperparameters import Hyperparameters
from policies.networks import Layout
from policies.skill import Skill, SkillCard
from robots.spec import RobotSpec


def is_archive(path: Path) -> bool:
    """Whether a file is a zip, as Stable-Baselines3 saves."""
    return path.is_file() and zipfile.is_zipfile(path)


def refuse_unasked(path: Path, unsafe_import: bool) -> None:
    """Refuse a zip whose import was not asked for.

    Raises:
        ValueError: it was not.
    """
    if not unsafe_import:
        raise ValueError(
            f"{path} is a Stable-Baselines3 zip, which holds pickles, and pickles run code; if you trust where it "
            f"comes from, convert it once with --unsafe-import (unsafe_import=True): that writes {_beside(path).name} "
            "beside it"
        )


def convert(path: Path, spec: RobotSpec, task: TaskSpec, *, robot: str, unsafe_import: bool = False) -> Path:
    """Write the policy of a zip as `policy.safetensors` has it, beside the zip; returns that file.

    Args:
        path: What `stable_baselines3.PPO.save` wrote; a VecNormalize pickle beside it is found by `statistics_file`.
        spec: What it was trained on.
        task: What it learned.
        robot: What `robots.get` finds `spec` by.
        unsafe_import: That the user asked for it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not asked for; no MlpPolicy of PPO; or its observations and actions are not those of the task.
    """
    file = _beside(path)
    of = {"robot": robot, "model_hash": spec.model_hash, "task": task.name}
    origin = _origin(path, unsafe_import) | of
    if not (file.is_file() and _is_of(file, origin)):
        archive = read(path)
        terms = embodiments.terms(spec, task)
        privileged = _privileged(path, archive, terms)
        weights = _weights(_in_our_units(path, archive, spec, task), terms, privileged)
        policy_file.write(file, weights, _record(archive, privileged) | of | {"origin": origin})
    return file


def convert_learner(path: Path, *, unsafe_import: bool = False) -> Path:
    """Write the zip as `policies.ppo.PPO.save` would, for the environment it was trained in; returns that file."""
    file = path.with_suffix(".ppo.safetensors")
    origin = _origin(path, unsafe_import)
    if not (file.is_file() and _is_of(file, origin)):
        archive = read(path)
        layout = Layout((0.0,) * archive.width, (1.0,) * archive.width, archive.width)
        weights = _network(archive, torch.zeros(archive.width), torch.ones(archive.width), archive.width)
        checkpoint.save(file, *_learner(archive, layout, weights, origin))
    return file


def skill_of_policy(path: Path, terms: tuple[Term, ...]) -> Skill:
    """The acting half of a converted policy, over the `terms` of its robot and task."""
    weights, record = checkpoint.load(path)
    card = SkillCard(
        **{name: record[name] for name in policy_file.NAMED},
        hidden=tuple(record["hidden"]),
        activation=record["activation"],
    )
    skill = Skill.blank(card, terms)
    actor = {name: value for name, value in weights.items() if name.startswith("actor.")}
    statistics = {f"normalizer.{name}": weights[f"normalizer.{name}"][: card.frame_width] for name in ("mean", "std")}
    skill.load_state_dict(actor | statistics | {"normalizer.count": weights["normalizer.count"]})
    return skill


def _privileged(path: Path, archive: Archive, terms: tuple[Term, ...]) -> bool:
    """Whether the policy reads all terms, not only the measurable ones."""
    measurable = sum(term.width for term in terms if term.measurable)
    whole = sum(term.width for term in terms)
    if archive.width not in (measurable, whole):
        raise ValueError(
            f"{path} reads {archive.width} observation channels; on this robot and task there are {measurable} that "
            f"can be measured, {whole} in all: name the robot and task that it was trained on"
        )
    return archive.width > measurable


def _in_our_units(path: Path, archive: Archive, spec: RobotSpec, task: TaskSpec) -> Archive:
    """The archive with dimensionless actions.

    Those of a Gymnasium id are shares, −1..1, of each control's range; our own worlds' are that already.
    """
    if archive.num_actions != spec.num_joints:
        raise ValueError(
            f"{path} drives {archive.num_actions} joints, {spec.name} has {spec.num_joints}: name the robot that it "
            "was trained on"
        )
    own = np.allclose(archive.high, ACTION_CLIP) and np.allclose(archive.low, -ACTION_CLIP)
    if task.name != "gymnasium" or own:
        return archive
    middle, half = (torch.as_tensor((archive.high + sign * archive.low) / 2).float() for sign in (1, -1))
    if not (half.isfinite() & (half > 0.0)).all():
        raise ValueError(f"{path}: actions must have finite bounds, got {archive.low} to {archive.high}; train it anew")
    weight, bias = archive.actor[-1]
    last = (weight / half[:, None], (bias - middle) / half)
    return replace(archive, actor=(*archive.actor[:-1], last), log_std=archive.log_std - half.log())


def _weights(archive: Archive, terms: tuple[Term, ...], privileged: bool) -> Tensors:
    """Of an `ActorCritic` over `terms`; the critic ignores what Stable-Baselines3's did not see."""
    offset, scale = (torch.tensor([v for term in terms for v in getattr(term, name)]) for name in ("offset", "scale"))
    return _network(archive, offset, scale, len(offset))


def _network(archive: Archive, offset: torch.Tensor, scale: torch.Tensor, width: int) -> Tensors:
    """Weights whose normalizer over (raw − offset)·scale does what VecNormalize did, in all `width` channels.

    With ((x − o)·s − m)/d = (x − mean)/(reach·std) for m = (mean − o)·s and d = s·std·reach, both clip at the same
    places; the first layer takes the reach back.
    """
    seen, inputs = archive.observation, archive.width
    own = scale[:inputs].double()
    mean, std = torch.zeros(width, dtype=torch.float64), torch.ones(width, dtype=torch.float64)
    mean[:inputs] = (seen.mean.double() - offset[:inputs].double()) * own
    std[:inputs] = own * seen.std.double() * seen.reach
    tensors = {"normalizer.mean": mean.float(), "normalizer.std": std.float()}
    tensors |= {"normalizer.count": torch.tensor(seen.count, dtype=torch.float64), "log_std": archive.log_std}
    for name, layers, reads in (("actor", archive.actor, inputs), ("critic", archive.critic, width)):
        first, bias = layers[0]
        begin = torch.nn.functional.pad(first * seen.reach, (0, reads - inputs)), bias
        for index, (weight, bias) in enumerate((begin, *layers[1:])):
            tensors |= {f"{name}.{2 * index}.weight": weight, f"{name}.{2 * index}.bias": bias}
    return tensors


def _record(archive: Archive, privileged: bool) -> dict[str, Any]:
    return {
        "privileged": privileged,
        "history": 1,
        "frame_width": archive.width,
        "num_joints": archive.num_actions,
        "env_steps": archive.env_steps,
        "hidden": list(archive.hidden),
        "activation": archive.activation,
    }


def _learner(
    archive: Archive, layout: Layout, weights: Tensors, origin: dict[str, Any]
) -> tuple[Tensors, dict[str, Any]]:
    """What `PPO.save` writes of a learner with these weights before its first step."""
    shape: dict[str, Any] = {"hidden": archive.hidden, "activation": archive.activation}
    chosen = Hyperparameters(**archive.settings, **shape)
    infinite = [math.inf] * archive.width
    record = {
        "kind": "ppo",
        "learner": {"adaptive_rate": chosen.learning_rate, "counters": {"num_timesteps": archive.env_steps}},
        "policy_class": "ActorCritic",
        "hyperparameters": asdict(chosen),
        "policy_kwargs": {},
        "layout": asdict(layout),
        "spaces": {
            "observation": {"low": [-x for x in infinite], "high": infinite, "dtype": "float32"},
            "action": {"low": archive.low.tolist(), "high": archive.high.tolist(), "dtype": "float32"},
        },
        "num_envs": archive.num_envs,
        "settings": {"verbose": 0, "tensorboard_log": None},
        "origin": origin,
    }
    generator = torch.Generator().manual_seed(0).get_state()
    return prefixed("learner.policy", weights) | {"learner.generator": generator}, record


def _origin(path: Path, unsafe_import: bool) -> dict[str, Any]:
    """Hashes of what is converted, once that was asked for."""
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    refuse_unasked(path, unsafe_import)
    files = {"zip": path, "statistics": statistics_file(path)}
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items() if file}


def _is_of(file: Path, origin: dict[str, Any]) -> bool:
    try:
        return checkpoint.load(file)[1].get("origin") == origin
    except ValueError:
        return False


def _beside(path: Path) -> Path:
    return path.with_suffix(".policy.safetensors")
