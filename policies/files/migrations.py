"""Checkpoints of older schemas, rewritten as the next schema has them.

Schema 1 (2026-11): a training's learner lay at the top level, counters of Stable-Baselines3, global generators and
what the run was about were not kept; a policy did not name its robot; a distillation had one teacher. Nothing that a
later step depends on is missing: a run goes on bit for bit, as far as the learner is still the same.
"""

from collections.abc import Callable
from typing import Any

import torch

from envs.state_dicts import Tensors

Loaded = tuple[Tensors, dict[str, Any]]

LEARNER = ("policy.", "actor_optimizer.", "critic_optimizer.", "generator", "last_observation")
"""Beginnings of the names of a learner's tensors in schema 1."""


def from_schema_1(tensors: Tensors, record: dict[str, Any]) -> Loaded:
    """Schema 1 to 2."""
    record = record | {"schema": 2}
    if "adaptive_rate" in record and "generator" in tensors:
        return _training(tensors, record)
    if "hidden" in record and "privileged" in record:
        unknown = {"robot": None, "model_hash": None, "task": None}
        return tensors, {"kind": "policy", **unknown, "activation": "elu"} | record
    if "losses" in record and "frames" in tensors:
        return _distillation(tensors, record)
    return tensors, record | ({"kind": "skill"} if "card" in record else {})


def _training(tensors: Tensors, record: dict[str, Any]) -> Loaded:
    moved = {f"learner.{name}" if name.startswith(LEARNER) else name: tensor for name, tensor in tensors.items()}
    learner = {"adaptive_rate": record.pop("adaptive_rate"), "counters": {"num_timesteps": record["env_steps"]}}
    return moved, record | {"kind": "training", "learner": learner}


def _distillation(tensors: Tensors, record: dict[str, Any]) -> Loaded:
    """There was one teacher; who led a world was drawn anew in each rollout, as it still is by default."""
    moved = {_lesson(name): tensor for name, tensor in tensors.items()}
    moved["lesson0.led"] = torch.zeros(len(tensors["observation"]), 1)
    return moved, record | {"kind": "distillation"}


def _lesson(name: str) -> str:
    if name == "frames":
        return "lesson0.player.frames"
    return f"lesson0.{name}" if name.startswith(("env.", "observation", "started")) else name


MIGRATIONS: dict[int, Callable[[Tensors, dict[str, Any]], Loaded]] = {1: from_schema_1}
"""By the schema that they read."""
