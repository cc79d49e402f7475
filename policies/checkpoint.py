"""Checkpoints: one safetensors file of named tensors with a JSON record in its header, replaced atomically.

Nothing is pickled. A file holds all that continues a run bit for bit: weights, optimizer moments, generators, counters,
environment and physics.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as serialize

from envs.state_dicts import Tensors

SCHEMA = 1


def save(path: Path, tensors: Tensors, record: dict[str, Any]) -> None:
    """Write a checkpoint by rename: readers see the old one or the new one, never half of one.

    Raises:
        OSError: there is no room; what was there stays. (`safetensors.save_file` would raise an error of its own.)
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    contiguous = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    try:
        temporary.write_bytes(serialize(contiguous, {"record": json.dumps({"schema": SCHEMA, **record})}))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and record of a checkpoint.

    Raises:
        FileNotFoundError: there is none.
        ValueError: damaged, or of another schema.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint {path}")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
            record = json.loads((file.metadata() or {}).get("record", "{}"))
    except Exception as error:  # safetensors raises its own untyped errors
        raise ValueError(f"checkpoint {path} is damaged ({error}); delete it to start that stage anew") from error
    if record.get("schema") != SCHEMA:
        raise ValueError(
            f"checkpoint {path}: schema must be {SCHEMA}, got {record.get('schema')!r}; train again or update sim2real"
        )
    return tensors, record


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    """Adam's moments and step counts by parameter index."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value) for index, values in state.items() for name, value in values.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors, learning_rate: float) -> None:
    """Put back what `optimizer_tensors` gave."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": [group | {"lr": learning_rate} for group in groups]})
