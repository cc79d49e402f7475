"""The physics engine for a device."""

import importlib.util

import mujoco
import torch

from envs.physics.cpu import CpuPhysics
from envs.physics.interface import Physics

DEVICES = ("cpu", "cuda", "warp-cpu")
"""MuJoCo on CPU threads, MuJoCo Warp on an NVIDIA GPU ("cuda:1" for the second one), and on Warp's CPU device."""


def make_physics(model: mujoco.MjModel, num_worlds: int, *, device: str = "cpu", num_threads: int = 0) -> Physics:
    """`num_worlds` worlds of `model` on `device`, one of `DEVICES`.

    Args:
        model: Compiled model with its nominal pose as keyframe.
        num_worlds: Number of worlds.
        device: Where they are stepped, and where their tensors live.
        num_threads: Of the CPU engine; 0 takes every core.

    Raises:
        ValueError: there is no such device.
        RuntimeError: what the device needs is missing.
    """
    if device == "cpu":
        return CpuPhysics(model, num_worlds, num_threads)
    if device != "warp-cpu" and device.split(":")[0] != "cuda":
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, got {device!r}")
    if importlib.util.find_spec("mujoco_warp") is None:
        raise RuntimeError(f"device {device!r} needs MuJoCo Warp; install it with: pip install 'sim2real[gpu]'")
    if device != "warp-cpu" and not torch.cuda.is_available():
        raise RuntimeError(
            f"device {device!r} needs an NVIDIA GPU, its driver and a CUDA build of torch; this is torch "
            f"{torch.__version__}, which sees none. Take device 'cpu', or install torch for CUDA (pytorch.org)"
        )
    from envs.physics.gpu import GpuPhysics

    return GpuPhysics(model, num_worlds, "cpu" if device == "warp-cpu" else device)
