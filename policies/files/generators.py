"""The global generators of a process: python's, numpy's and torch's, of the CPU and of GPUs in use.

Training draws from owned generators alone, but what users add (callbacks, tasks, wrappers) may draw from these, and a
run that is resumed must go on with them too.
"""

import random
from typing import Any

import numpy as np
import torch

from envs.state_dicts import Tensors


def global_state() -> tuple[Tensors, dict[str, Any]]:
    """States of all global generators, as tensors and JSON data."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached_gauss = np.random.get_state()
    tensors = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor(words, dtype=torch.int64),
        "numpy": torch.from_numpy(np.asarray(keys, dtype=np.int64)),
    }
    if torch.cuda.is_initialized():  # nothing was drawn from GPUs that nobody used: do not wake them
        tensors |= {f"cuda.{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    return tensors, {"python": [version, gauss], "numpy": [name, position, has_gauss, cached_gauss]}


def restore_global_state(tensors: Tensors, record: dict[str, Any]) -> None:
    """Go on where `global_state` was taken; GPUs that are not here are left out."""
    version, gauss = record["python"]
    random.setstate((version, tuple(tensors["python"].tolist()), gauss))
    name, position, has_gauss, cached_gauss = record["numpy"]
    np.random.set_state((name, tensors["numpy"].numpy().astype(np.uint32), position, has_gauss, cached_gauss))
    torch.set_rng_state(tensors["torch"])
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        if f"cuda.{index}" in tensors:
            torch.cuda.set_rng_state(tensors[f"cuda.{index}"], index)
