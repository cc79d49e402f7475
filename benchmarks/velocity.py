"""The whole velocity environment beside bare physics, what randomization costs, and what a world weighs.

Environment and bare physics take turns over the same ground: a turn of the environment records its controls and the
start states of its new episodes, then `mujoco.batch.Batch` plays them back on the same compiled model, without
observations, rewards, randomization or noise; and once more in worlds that have the environment's randomized
parameters, since slippery ground takes the solver longer by itself (`…_same_parameters`). A ratio is the median over
turns. Beside the wall clock, CPU time is measured (`…_cpu`): it holds on a machine that others use too.
"""

import subprocess
import sys
import time
from dataclasses import dataclass

import torch
from mujoco.batch import Batch

import envs.tasks
import robots
from benchmarks.report import Report, Tier
from envs.physics.cpu import CpuPhysics
from envs.randomization import MODEL_FIELDS, preset
from envs.vector_env import VectorEnv, model_of
from policies.threads import one_torch_thread
from sim2real.campaign.resources import cores

TASK = envs.tasks.get("velocity")
SEED = 0
SPREAD = 0.3
"""Standard deviation of the random actions [1]: robots step and stumble, and some fall."""
WEIGHED = 8192
"""Worlds whose memory is measured."""


@dataclass(frozen=True)
class Effort:
    """How long turns are, and who takes them."""

    rounds: int
    world_steps: int
    """Environment steps of a turn, all worlds together."""
    contestants: tuple[tuple[str, int], ...]
    """Robots and numbers of worlds; the first of each robot names its ratio."""


EFFORTS: dict[Tier, Effort] = {
    "smoke": Effort(rounds=1, world_steps=1_024, contestants=(("go1", 64),)),
    "ci": Effort(rounds=5, world_steps=25_000, contestants=(("go1", 256), ("g1", 256))),
    "full": Effort(
        rounds=9,
        world_steps=25_000,
        contestants=(("go1", 256), ("go1", 512), ("go1", 1024), ("g1", 256), ("g1", 1024)),
    ),
}


class RecordingPhysics(CpuPhysics):
    """Physics that remembers what drove it."""

    tape: list[torch.Tensor | tuple[torch.Tensor, torch.Tensor]]
    """Controls of each control step, and (worlds, rows) of each restart, in order."""

    def begin(self) -> None:
        self.tape, self.first = [], self.save()

    def step(self, num_substeps, hook=None):  # type: ignore[no-untyped-def]
        self.tape.append(self.ctrl.clone())
        return super().step(num_substeps, hook)

    def restore(self, worlds: torch.Tensor, rows: torch.Tensor) -> None:
        super().restore(worlds, rows)
        if hasattr(self, "tape"):
            self.tape.append((worlds, rows))


class Contestant:
    """The environment of a robot under a randomization."""

    def __init__(self, robot: str, num_worlds: int, randomization: str) -> None:
        spec, ranges = robots.get(robot), preset(randomization)
        self.model = model_of(spec, TASK, ranges)
        self.physics = RecordingPhysics(self.model, num_worlds, cores())
        self.env = VectorEnv(spec, TASK, num_envs=num_worlds, randomization=ranges, seed=SEED, physics=self.physics)
        self.bare, self.alike = (Batch(self.model, num_worlds, cores()) for _ in range(2))
        self.actions = torch.Generator().manual_seed(SEED)
        self.forget()

    def forget(self) -> None:
        """Drop what was measured."""
        self.per_s: list[float] = []
        self.per_cpu_s: list[float] = []
        self.bare_per_s: list[float] = []
        self.bare_per_cpu_s: list[float] = []
        self.alike_per_s: list[float] = []
        """Of bare physics whose worlds have the parameters of the environment's."""
        self.alike_per_cpu_s: list[float] = []

    def turn(self, steps: int) -> None:
        """Step the environment, then the bare physics over the same ground."""
        shape = (self.env.num_envs, self.env.spec.num_joints)
        actions = [SPREAD * torch.randn(shape, generator=self.actions) for _ in range(steps)]
        self.physics.begin()
        taken = steps * self.env.num_envs
        clock, cpu = time.perf_counter(), time.process_time()
        for action in actions:
            self.env.step(action)
        self.per_s.append(taken / (time.perf_counter() - clock))
        self.per_cpu_s.append(taken / (time.process_time() - cpu))
        clock, cpu = self._play_back(self.bare)
        self.bare_per_s.append(taken / clock)
        self.bare_per_cpu_s.append(taken / cpu)
        for name in MODEL_FIELDS:
            values = self.physics.batch.expanded(name)
            if values is not None:
                self.alike.expand(name)[:] = values
        self.alike.set_const()
        clock, cpu = self._play_back(self.alike)
        self.alike_per_s.append(taken / clock)
        self.alike_per_cpu_s.append(taken / cpu)

    def _play_back(self, batch: Batch) -> tuple[float, float]:
        """Time and CPU time that bare physics takes [s]."""
        tape = [
            piece.numpy() if isinstance(piece, torch.Tensor) else tuple(part.numpy() for part in piece)
            for piece in self.physics.tape
        ]
        batch.state[:], control = self.physics.first.numpy(), batch.bind("ctrl")
        clock, cpu = time.perf_counter(), time.process_time()
        for piece in tape:
            if isinstance(piece, tuple):
                batch.state[piece[0]] = piece[1]
            else:
                control[:] = piece
                batch.step(nstep=self.env.spec.substeps)
        return time.perf_counter() - clock, time.process_time() - cpu


def measure(tier: Tier, report: Report) -> None:
    """Add the rows and ratios of the velocity environment."""
    one_torch_thread()
    effort, named = EFFORTS[tier], set[str]()
    for robot, num_worlds in effort.contestants:
        _compare(robot, num_worlds, effort, report, headline=robot not in named)
        named.add(robot)
    report.add("go1_memory_per_world", "KiB", [memory_per_world_kib()])


def _compare(robot: str, num_worlds: int, effort: Effort, report: Report, *, headline: bool) -> None:
    steps = max(2, effort.world_steps // num_worlds)
    weighed = robot == "go1" and headline  # where randomization is weighed too
    field = [Contestant(robot, num_worlds, name) for name in ("default", "none", "full")[: 3 if weighed else 1]]
    for contestant in field:  # warm-up
        contestant.turn(2)
        contestant.forget()
    for _ in range(effort.rounds):
        for contestant in field:
            contestant.turn(steps)
    ours = field[0]
    name = f"{robot}_{num_worlds}"
    report.add(f"{name}_velocity_steps_per_s", "env steps/s", ours.per_s, (SEED,))
    report.add(f"{name}_raw_steps_per_s", "env steps/s", ours.bare_per_s, (SEED,))
    ratio = f"{robot}_velocity_vs_raw" if headline else f"{name}_velocity_vs_raw"
    report.compare(ratio, ours.per_s, ours.bare_per_s)
    report.compare(f"{ratio}_cpu", ours.per_cpu_s, ours.bare_per_cpu_s)
    report.compare(f"{ratio}_same_parameters", ours.per_s, ours.alike_per_s)
    if weighed:
        _, still, full = field
        report.compare("randomization_on_vs_off", ours.per_s, still.per_s)
        report.compare("randomization_on_vs_off_cpu", ours.per_cpu_s, still.per_cpu_s)
        report.compare("randomization_full_vs_off_cpu", full.per_cpu_s, still.per_cpu_s)
        shares = ([one / bare for one, bare in zip(c.per_s, c.alike_per_s, strict=True)] for c in (ours, still))
        report.compare("randomization_on_vs_off_same_parameters", *shares)
        report.ratios["randomization_cost"] = 1.0 - report.ratios["randomization_on_vs_off"]


def memory_per_world_kib() -> float:
    """What a world of the velocity environment weighs beyond its model, in a process of its own [KiB]."""
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.world_memory", str(WEIGHED)], check=True, capture_output=True, text=True
    )
    return float(found.stdout)
