"""The same episodes under many conditions side by side: a slippery floor, a payload, late commands, pushes.

Every condition plays the same episodes (start states, commands, directions of pushes), so that conditions differ by
what they are and not by luck. Those that differ in parameters of the model or in pushes share one batch of worlds;
other sensors need worlds of their own.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from envs.embodiments.embodiment import Actor
from envs.make import make_worlds
from envs.randomization import preset
from envs.task import TaskSpec
from envs.worlds import Worlds
from policies.episodes import play
from policies.evaluation import SEED
from robots.spec import RobotSpec

Condition = tuple[tuple[str, float], ...]
"""Fields of `Randomization` and their values, sorted by name; what is not named is nominal."""
NOMINAL: Condition = ()
PUSH = "push_speed"
"""A sudden change of the base's horizontal velocity of exactly this size [√(gL)], each time in another direction."""
FIRST_PUSH, PUSH_SECONDS = 1.0, 2.0
"""When the first one comes, and the time from one to the next [s]."""
SENSORS = ("noise", "sensor_delay")
"""What makes other worlds."""
LONGEST_DELAY = 12.0
"""Delay that the worlds have room for, in units of the nominal one."""
WORLDS = 512
"""Most worlds in one batch."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the episodes came to under one condition."""

    scores: NDArray[np.float64]
    """(episodes,)."""
    fell: NDArray[np.bool_]
    """(episodes,)."""


def condition(**values: float) -> Condition:
    """The condition with these values of fields of `Randomization`."""
    return tuple(sorted(values.items()))


def play_conditions(
    spec: RobotSpec,
    task: TaskSpec,
    player: Callable[[], Actor],
    conditions: Sequence[Condition],
    *,
    episodes: int,
    seconds: float,
    num_threads: int = 0,
    report: Callable[[float], None] = lambda fraction: None,
) -> dict[Condition, Outcome]:
    """Play the episodes under every condition.

    Args:
        spec: Who acts.
        task: What it must do.
        player: Makes an actor for episodes that all start together; called for each batch.
        conditions: What the robot has; see `policies.robustness.axes`.
        episodes: How many there are.
        seconds: How long each lasts [s].
        num_threads: Physics threads, 0 for every core; outcomes do not depend on it.
        report: Told the share that is done.
    """
    wanted = list(dict.fromkeys(conditions))
    found: dict[Condition, Outcome] = {}
    steps, size = max(1, round(seconds * spec.control_hz)), max(1, WORLDS // episodes)
    for sensors in dict.fromkeys(map(_sensors, wanted)):
        alike = [one for one in wanted if _sensors(one) == sensors]
        pattern = worlds_for(spec, task, episodes, num_threads, sensors)
        for start in range(0, len(alike), size):
            batch = alike[start : start + size]
            env = worlds_for(spec, task, episodes * len(batch), num_threads, sensors)
            found |= _play_batch(env, pattern, player(), batch, steps)
            report(len(found) / len(wanted))
    return found


def worlds_for(spec: RobotSpec, task: TaskSpec, num_envs: int, num_threads: int, sensors: Condition = ()) -> Worlds:
    """Worlds of the nominal robot in which every parameter can be written, with room for late commands."""
    ranges = preset("default")
    if any(joint.actuator.delay for joint in spec.joints):
        ranges = replace(ranges, delay=(0.0, LONGEST_DELAY))
    seen: dict[str, Any] = {name: (value, value) if name == "sensor_delay" else value for name, value in sensors}
    env = make_worlds(
        spec,
        task,
        num_envs=num_envs,
        randomization=replace(ranges, **seen),
        seed=SEED,
        num_threads=num_threads,
        scoring=True,
    )
    env.randomizer.set_ranges(preset("none"))
    return env


def _sensors(given: Condition) -> Condition:
    return tuple((name, value) for name, value in given if name in SENSORS)


def _play_batch(
    env: Worlds, pattern: Worlds, actor: Actor, batch: list[Condition], steps: int
) -> dict[Condition, Outcome]:
    """One condition after the other along the worlds, `pattern.num_envs` episodes of each."""
    episodes, everyone = pattern.num_envs, torch.arange(env.num_envs)
    values = env.randomizer.nominal.repeat(len(batch), 1)
    for row, given in enumerate(batch):
        for name, value in given:
            if name != PUSH and name not in SENSORS:
                values[row, env.randomizer.columns[name]] = value
    env.randomizer.apply(everyone, values.repeat_interleave(episodes, 0))
    env.begin_as(pattern, everyone % episodes)
    speeds = torch.tensor([dict(given).get(PUSH, 0.0) for given in batch]).repeat_interleave(episodes)
    played = play(env, actor, steps, _pusher(env, speeds * env.space.speed, episodes))
    scores = (played.score / steps).double().cpu().numpy().reshape(len(batch), episodes)
    fell = played.fell.cpu().numpy().reshape(len(batch), episodes)
    return {given: Outcome(scores=scores[row], fell=fell[row]) for row, given in enumerate(batch)}


def _pusher(env: Worlds, speeds: torch.Tensor, episodes: int) -> Callable[[int], None]:
    """Pushes worlds at their speeds, (num_envs,) [m/s], now and then; the same directions under all conditions."""
    pushed = speeds.nonzero()[:, 0]
    first, period = round(FIRST_PUSH / env.dt), round(PUSH_SECONDS / env.dt)
    generator = torch.Generator().manual_seed(SEED)

    def push(tick: int) -> None:
        if len(pushed) and tick >= first and (tick - first) % period == 0:
            angle = 2.0 * math.pi * torch.rand(episodes, generator=generator)[pushed % episodes]
            direction = torch.stack([angle.cos(), angle.sin()], -1)
            env.disturbances.push(pushed, speeds[pushed, None] * direction)

    return push
