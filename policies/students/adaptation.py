"""Does a policy adapt? A robot that is loaded or loses motor strength in mid-episode, beside an undisturbed twin.

Both run the same fixed episodes: start states, commands and sensor noise are those of one seed, and all until the
disturbance is played once. What is left of the twin's score afterwards, second by second, is what the policy makes of
it.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

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

EPISODES = 48
EPISODE_SECONDS, DISTURBED_AT, ALLOWED = 10.0, 3.0, 5.0
"""Length of an episode, when the robot changes in it, and how long it may take to recover [s]."""
RECOVERED = 0.9
"""Share of the twin's score at which a robot counts as recovered."""
PAYLOAD = 0.2
"""Sudden load on the base, in units of the robot's mass."""
MOTOR = 0.6
"""What is left of a motor's torque limit, stiffness and damping."""
MOTOR_PARAMETERS = ("kp", "kd", "strength")

Change = Callable[[Randomizer], torch.Tensor]
"""Gives the samples, (num_worlds, num_columns), that worlds go on with."""


class Played(NamedTuple):
    """What episodes came to."""

    scores: NDArray[np.float64]
    """(num_steps, num_worlds) of every control step, 0 after a fall."""
    fell: NDArray[np.bool_]
    """(num_worlds,)."""


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


def keep(randomizer: Randomizer) -> torch.Tensor:
    """Samples of worlds that nothing happens to."""
    return randomizer.values.clone()


def load(randomizer: Randomizer) -> torch.Tensor:
    """Samples of worlds whose base carries `PAYLOAD`."""
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


DISTURBANCES: dict[str, Change] = {"payload": load, "motor": weaken}
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
    env = _worlds(spec, task, num_threads)
    changes = {name: change for name, change in DISTURBANCES.items() if set(NEEDED[name]) & set(env.randomizer.columns)}
    calm, *disturbed = twins(env, player(), [keep, *changes.values()])
    rate = round(1.0 / env.dt)
    return {name: asdict(recovery(own, calm, rate)) for name, own in zip(changes, disturbed, strict=True)}


def _worlds(spec: RobotSpec, task: TaskSpec, num_threads: int) -> Worlds:
    nominal: Randomization = replace(preset("none"), separate=MOTOR_PARAMETERS)
    return make_worlds(
        spec, task, num_envs=EPISODES, randomization=nominal, seed=SEED, num_threads=num_threads, scoring=True
    )


def twins(env: Worlds, actor: Actor, changes: Sequence[Change]) -> list[Played]:
    """The same episodes under each of `changes`, which strike at `DISTURBED_AT`; what comes before is played once."""
    struck, num_steps = round(DISTURBED_AT / env.dt), round(EPISODE_SECONDS / env.dt)
    everyone = torch.ones(env.num_envs, dtype=torch.bool)
    before, observation, alive = _play(env, actor, env.observation(), everyone, struck)
    state, found = env.state_dict(), []
    for change in changes:
        env.load_state_dict(state)
        env.randomizer.apply(torch.arange(env.num_envs), change(env.randomizer))
        after, _, standing = _play(env, copy.deepcopy(actor), observation, alive, num_steps - struck)
        found.append(Played(np.concatenate([before, after]), (~standing).cpu().numpy()))
    return found


@torch.no_grad()
def _play(
    env: Worlds, actor: Actor, observation: torch.Tensor, alive: torch.Tensor, num_steps: int
) -> tuple[NDArray[np.float64], torch.Tensor, torch.Tensor]:
    """Scores, (num_steps, num_worlds), the observation behind them, and which worlds, (num_worlds,), never fell."""
    scores = []
    for _ in range(num_steps):
        step = env.step(actor(observation))
        observation, alive = step.observation, alive & ~step.terminated
        scores.append(torch.where(alive, env.task.score(step.world, env.space), 0.0))
    return torch.stack(scores).double().cpu().numpy(), observation, alive


def recovery(hurt: Played, twin: Played, ticks_per_second: int) -> Recovery:
    """Compare what disturbed worlds and their twins came to."""
    disturbed, calm = hurt.scores, twin.scores
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
        falls=int(hurt.fell.sum()),
        twin_falls=int(twin.fell.sum()),
        episodes=calm.shape[1],
    )


def _share(disturbed: NDArray[np.float64], calm: NDArray[np.float64]) -> float:
    return float(disturbed.mean() / max(calm.mean(), 1e-9))


def _interval(disturbed: NDArray[np.float64], calm: NDArray[np.float64], resamples: int = 2000) -> tuple[float, float]:
    rows = np.random.default_rng(0).integers(len(calm), size=(resamples, len(calm)))
    shares = disturbed[rows].mean(-1) / np.maximum(calm[rows].mean(-1), 1e-9)
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)
