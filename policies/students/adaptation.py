"""Does a policy adapt? A robot that is loaded or loses motor strength in mid-episode, beside an undisturbed twin.

Both run the same fixed episodes, start states, commands and sensor noise of the same seed, so they are equal to the bit
until the disturbance. What is left of the twin's score afterwards, second by second, is what the policy makes of it.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from envs.embodiments.embodiment import Actor
from envs.make import GYMNASIUM, make_worlds
from envs.randomization import Randomization, Randomizer, preset
from envs.task import TaskSpec
from envs.worlds import Worlds
from policies.evaluation import SEED
from robots.spec import RobotSpec

EPISODES = 96
EPISODE_SECONDS, DISTURBED_AT, ALLOWED = 10.0, 3.0, 5.0
"""Length of an episode, when the robot changes in it, and how long it may take to recover [s]."""
RECOVERED = 0.9
"""Share of the twin's score at which a robot counts as recovered."""
PAYLOAD = 0.2
"""Sudden load on the base, in units of the robot's mass."""
MOTOR = 0.6
"""What is left of a motor's torque limit, stiffness and damping."""
MOTOR_PARAMETERS = ("kp", "kd", "strength")


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """What a disturbance did to a policy's score."""

    ratio: float
    """Score from `ALLOWED` seconds after the disturbance to the end, over the twin's in the same time."""
    ratio_ci: tuple[float, float]
    """95 % bootstrap interval over episodes."""
    seconds_to_recover: float | None
    """From the disturbance until every further second has at least `RECOVERED` of the twin's score [s]; None if not."""
    seconds: tuple[float, ...]
    """Share of the twin's score in every second after the disturbance."""
    falls: int
    twin_falls: int
    episodes: int


def load(randomizer: Randomizer) -> torch.Tensor:
    """Samples, (num_worlds, num_columns), of worlds whose base carries `PAYLOAD`."""
    values = randomizer.values.clone()
    values[:, randomizer.columns["payload"]] = PAYLOAD
    return values


def weaken(randomizer: Randomizer) -> torch.Tensor:
    """Samples of worlds in which one motor is weak: of the first joint in the first world, and so on, in turn."""
    values, worlds = randomizer.values.clone(), torch.arange(len(randomizer.values))
    for name in MOTOR_PARAMETERS:
        if name in randomizer.columns:
            part = randomizer.columns[name]
            values[worlds, part.start + worlds % (part.stop - part.start)] *= MOTOR
    return values


DISTURBANCES: dict[str, Callable[[Randomizer], torch.Tensor]] = {"payload": load, "motor": weaken}
"""By name, the samples that worlds go on with."""
NEEDED = {"payload": ("payload",), "motor": MOTOR_PARAMETERS}
"""Parameters of which a robot must have one."""


def adaptation(
    spec: RobotSpec, task: TaskSpec, player: Callable[[], Actor], *, num_threads: int = 0
) -> dict[str, dict[str, Any]]:
    """A `Recovery` for each disturbance that the robot can have; none where episodes are too short to recover in.

    Args:
        spec: The robot, nominal before the disturbance.
        task: Of the episodes.
        player: Gives an actor that remembers nothing yet.
        num_threads: Physics threads.
    """
    if task.embodiment == GYMNASIUM or task.episode_seconds < EPISODE_SECONDS:
        return {}
    calm = tick_scores(_worlds(spec, task, num_threads), player())
    found = {}
    for name, change in DISTURBANCES.items():
        env = _worlds(spec, task, num_threads)
        if any(parameter in env.randomizer.columns for parameter in NEEDED[name]):
            found[name] = asdict(recovery(tick_scores(env, player(), change), calm, round(1.0 / env.dt)))
    return found


def _worlds(spec: RobotSpec, task: TaskSpec, num_threads: int) -> Worlds:
    nominal: Randomization = replace(preset("none"), separate=MOTOR_PARAMETERS)
    return make_worlds(
        spec, task, num_envs=EPISODES, randomization=nominal, seed=SEED, num_threads=num_threads, scoring=True
    )


@torch.no_grad()
def tick_scores(
    env: Worlds, actor: Actor, change: Callable[[Randomizer], torch.Tensor] | None = None
) -> NDArray[np.float64]:
    """Scores of every control step, (num_steps, num_worlds), 0 after a fall; `change` strikes at `DISTURBED_AT`."""
    observation, alive = env.observation(), torch.ones(env.num_envs, dtype=torch.bool)
    scores = []
    for tick in range(round(EPISODE_SECONDS / env.dt)):
        if change is not None and tick == round(DISTURBED_AT / env.dt):
            env.randomizer.apply(torch.arange(env.num_envs), change(env.randomizer))
        step = env.step(actor(observation))
        observation = step.observation
        alive &= ~step.terminated
        scores.append(env.task.score(step.world, env.space) * alive)
    return torch.stack(scores).double().cpu().numpy()


def recovery(disturbed: NDArray[np.float64], calm: NDArray[np.float64], ticks_per_second: int) -> Recovery:
    """Compare scores, (num_steps, num_worlds), of the disturbed worlds and of their twins."""
    struck = round(DISTURBED_AT * ticks_per_second)
    starts = range(struck, len(calm) - ticks_per_second + 1, ticks_per_second)
    shares = [_share(disturbed[at : at + ticks_per_second], calm[at : at + ticks_per_second]) for at in starts]
    late = struck + round(ALLOWED * ticks_per_second)
    lasting = next((at for at in range(len(shares)) if min(shares[at:]) >= RECOVERED), None)
    return Recovery(
        ratio=_share(disturbed[late:], calm[late:]),
        ratio_ci=_interval(disturbed[late:].mean(0), calm[late:].mean(0)),
        seconds_to_recover=None if lasting is None else float(lasting),
        seconds=tuple(shares),
        falls=int((disturbed[-1] == 0.0).sum()),
        twin_falls=int((calm[-1] == 0.0).sum()),
        episodes=calm.shape[1],
    )


def _share(disturbed: NDArray[np.float64], calm: NDArray[np.float64]) -> float:
    return float(disturbed.mean() / max(calm.mean(), 1e-9))


def _interval(disturbed: NDArray[np.float64], calm: NDArray[np.float64], resamples: int = 2000) -> tuple[float, float]:
    rows = np.random.default_rng(0).integers(len(calm), size=(resamples, len(calm)))
    shares = disturbed[rows].mean(-1) / np.maximum(calm[rows].mean(-1), 1e-9)
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)
