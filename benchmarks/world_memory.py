"""Prints the resident memory of a world of the go1 velocity environment, all it holds in Python included [KiB].

python -m benchmarks.world_memory 8192
"""

import gc
import os
import sys
from pathlib import Path

import torch

import envs.tasks
import robots
from envs.randomization import preset
from envs.vector_env import VectorEnv
from policies.threads import one_torch_thread


def resident_bytes() -> int:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def stepped(num_worlds: int) -> VectorEnv:
    """Worlds that have been stepped once, so that every buffer exists."""
    spec = robots.get("go1")
    env = VectorEnv(spec, envs.tasks.get("velocity"), num_envs=num_worlds, randomization=preset("default"))
    env.step(torch.zeros(num_worlds, spec.num_joints))
    gc.collect()
    return env


if __name__ == "__main__":
    one_torch_thread()
    few = stepped(16)
    before = resident_bytes()
    many = stepped(int(sys.argv[1]))
    print((resident_bytes() - before) / many.num_envs / 1024.0)
