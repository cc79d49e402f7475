"""What a benchmark ran on: cores, how busy they were, and versions."""

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim2real.campaign.provenance import version
from sim2real.campaign.resources import cores, gpu_count, memory_gb

PACKAGES = ("mujoco", "torch", "stable-baselines3", "gymnasium", "numpy", "onnxruntime")
CPU_INFO = Path("/proc/cpuinfo")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(kw_only=True)
class Machine:
    """The machine of one run of a benchmark; `record` at its end also tells how busy others kept it."""

    load_at_start: tuple[float, ...] = field(default_factory=os.getloadavg)
    """Runnable processes over the last 1, 5, 15 minutes."""
    _busy_at_start: tuple[float, float] = field(default_factory=lambda: busy_and_idle_s())

    def record(self) -> dict[str, Any]:
        """What machines read."""
        return {
            "cpu": cpu_name(),
            "cores": cores(),
            "gpus": gpu_count(),
            "memory_gb": round(memory_gb(), 1),
            "system": f"{platform.system()} {platform.release()}",
            "load_at_start": self.load_at_start,
            "load_at_end": os.getloadavg(),
            "busy_share": self._busy_share(),
            "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        }

    def sentence(self) -> str:
        """For people."""
        busy = self._busy_share()
        others = "" if busy is None else f", {busy:.0%} busy during the run"
        return f"{cpu_name()}, {cores()} cores, load {self.load_at_start[0]:.1f} before{others}"

    def _busy_share(self) -> float | None:
        """Of all cores' time since the start, by this benchmark and others; None where the system does not tell."""
        busy, idle = (now - then for now, then in zip(busy_and_idle_s(), self._busy_at_start, strict=True))
        return round(busy / (busy + idle), 3) if busy + idle > 0.0 else None


def cpu_name() -> str:
    """Model of the processor, as far as the system tells."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def busy_and_idle_s() -> tuple[float, float]:
    """Time of all cores since boot at work, or taken by another guest of the host, and idle [s]."""
    path = Path("/proc/stat")
    if not path.is_file():
        return 0.0, 0.0
    times = [int(text) / TICKS_PER_S for text in path.read_text().splitlines()[0].split()[1:9]]
    idle = times[3] + times[4]  # idle, waiting for a disk
    return sum(times) - idle, idle


def cpu_seconds(processes: tuple[int, ...]) -> float:
    """CPU time of these processes so far, all threads, their own children not counted [s]; 0 where nobody tells."""
    total = 0.0
    for process in processes:
        path = Path(f"/proc/{process}/stat")
        if path.is_file():
            user, system = path.read_text().rpartition(")")[2].split()[11:13]
            total += (int(user) + int(system)) / TICKS_PER_S
    return total
