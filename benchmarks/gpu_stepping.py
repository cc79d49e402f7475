"""How many control steps a physics engine makes in a second, on any device, without learning or observations.

`rate("go1", 4096, device="cuda")` is the figure of the GPU engine; with device "cpu" or "warp-cpu" the same function
gives the others. Random targets near the nominal pose keep the robots on their feet; the engine's compiling and its
first, recorded step stay outside the clock.
"""

import time

import torch

import robots
from benchmarks.report import Report, Tier
from envs.physics.make import make_physics
from robots.model import build_model

SPREAD = 0.1
"""Largest offset of a random joint target from the nominal pose [rad]."""
DELAY_SAMPLES = 6
"""Length of the actuators' delay buffers [physics steps], as under the default randomization."""
ROUNDS, WORLDS = 5, {"smoke": (16,), "ci": (64,), "full": (1024, 2048, 4096, 8192)}
SECONDS = {"smoke": 0.2, "ci": 1.0, "full": 5.0}


def measure(tier: Tier, device: str) -> Report:
    """Rows of go1 and g1 on one device, beside the CPU engine at 256 worlds in the same run."""
    figures = Report()
    for robot in ("go1", "g1")[: 1 if tier == "smoke" else 2]:
        beside: list[float] = []
        rates: dict[int, list[float]] = {num_worlds: [] for num_worlds in WORLDS[tier]}
        for _ in range(ROUNDS):
            beside.append(rate(robot, 256, device="cpu", seconds=SECONDS[tier]))
            for num_worlds, found in rates.items():
                found.append(rate(robot, num_worlds, device=device, seconds=SECONDS[tier]))
        figures.add(f"{robot}_cpu_256_control_steps_per_s", "control steps/s", beside)
        for num_worlds, found in rates.items():
            name = f"{robot}_{device.replace(':', '')}_{num_worlds}"
            figures.add(f"{name}_control_steps_per_s", "control steps/s", found)
            figures.compare(f"{name}_vs_cpu", found, beside)
    return figures


def rate(robot: str, num_worlds: int, *, device: str = "cuda", seconds: float = 5.0, num_threads: int = 0) -> float:
    """Control steps of all worlds together in a second, over at least `seconds` [s]."""
    spec = robots.get(robot)
    physics = make_physics(
        build_model(spec, delay_samples=DELAY_SAMPLES), num_worlds, device=device, num_threads=num_threads
    )
    generator = torch.Generator(physics.device).manual_seed(0)
    nominal = torch.tensor(spec.default_controls, dtype=physics.ctrl.dtype, device=physics.device)

    def control_step() -> None:
        share = torch.rand(physics.ctrl.shape, generator=generator, device=physics.device, dtype=physics.ctrl.dtype)
        physics.ctrl[:] = nominal + SPREAD * (2.0 * share - 1.0)
        physics.step(spec.substeps)

    for _ in range(2):  # compile, record; then replay once
        control_step()
    _wait(physics.device)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        control_step()
        steps += 1
    _wait(physics.device)
    return steps * num_worlds / (time.perf_counter() - start)


def _wait(device: torch.device) -> None:
    """Until the device has done what was queued."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
