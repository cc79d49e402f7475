"""What a stage asks for and what a machine has: cores, GPUs, memory."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

CGROUP_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
NVIDIA_DEVICES = Path("/proc/driver/nvidia/gpus")
EPSILON = 1e-6


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Of a stage: what it may keep busy; of a machine or cluster: what it has."""

    cpus: int = 1
    """Cores."""
    gpus: float = 0.0
    """GPUs; a fraction shares one without isolating its memory."""
    memory_gb: float = 0.0
    """Memory [GB]; 0 asks for no particular amount."""

    def __post_init__(self) -> None:
        if self.cpus < 1:
            raise ValueError(f"cpus must be >= 1, got {self.cpus}")
        if self.gpus < 0.0 or (self.gpus > 1.0 and not self.gpus.is_integer()):
            raise ValueError(f"gpus must be a fraction below 1 or a whole number, got {self.gpus}")
        if self.memory_gb < 0.0:
            raise ValueError(f"memory_gb must be >= 0 [GB], got {self.memory_gb}")

    def times(self, workers: int) -> "Resources":
        """What so many of them need."""
        return Resources(cpus=self.cpus * workers, gpus=self.gpus * workers, memory_gb=self.memory_gb * workers)

    def lacking(self, request: "Resources") -> str:
        """What these resources lack for `request`, in words; empty if it fits."""
        pairs = (
            ("CPUs", request.cpus, self.cpus),
            ("GPUs", request.gpus, self.gpus),
            ("GB of memory", request.memory_gb, self.memory_gb),
        )
        return " and ".join(f"{need:g} {name} of {have:g}" for name, need, have in pairs if need > have + EPSILON)

    def fits(self, requests: list["Resources"]) -> bool:
        """Whether all `requests` fit side by side."""
        return (
            sum(request.cpus for request in requests) <= self.cpus + EPSILON
            and sum(request.gpus for request in requests) <= self.gpus + EPSILON
            and sum(request.memory_gb for request in requests) <= self.memory_gb + EPSILON
        )


def host() -> Resources:
    """What this process may use of this machine."""
    return Resources(cpus=cores(), gpus=float(gpu_count()), memory_gb=memory_gb())


def cores() -> int:
    """Cores this process may use: its affinity, and the quota of its container."""
    count = len(os.sched_getaffinity(0))
    quota, _, period = CGROUP_CPU_MAX.read_text().partition(" ") if CGROUP_CPU_MAX.is_file() else ("max", "", "")
    if quota != "max":
        count = min(count, math.ceil(int(quota) / int(period)))
    return max(count, 1)


def gpu_count() -> int:
    """NVIDIA GPUs this process may use: those that CUDA_VISIBLE_DEVICES lists, else those the driver shows."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip() not in ("", "-1", "NoDevFiles")])
    return len(list(NVIDIA_DEVICES.iterdir())) if NVIDIA_DEVICES.is_dir() else 0


def memory_gb() -> float:
    """Memory of this machine [GB]."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
