"""Footage of robots in which a policy acts: through a programme of commands, or through a task's own episodes. SI."""

import numpy as np
from numpy.typing import NDArray

from sim2real.report.captions import Caption
from sim2real.report.footage import Footage
from sim2real.report.walk import FALL_SECONDS, PROGRAMME, SMOOTHING_SECONDS, UNITS, Act, asked_and_done, trailing_mean
from sim2real.view.acting import VELOCITY, ActingRobots
from sim2real.view.simulation import initial


def natural_seconds(robots: ActingRobots) -> float:
    """Length of the programme, or of an episode [s]."""
    return sum(act.seconds for act in PROGRAMME) if robots.knobs else robots.worlds.episode_steps * robots.dt


def record(robots: ActingRobots, seconds: float) -> Footage:
    """Let the policy act for `seconds`; commands, where there are any, are those of the reports' films."""
    ticks = max(1, round(seconds * robots.spec.control_hz))
    acts = _acts(ticks) if robots.knobs else None
    states, velocity, restarted = [], [], []
    for tick in range(ticks):
        values = _command(robots, PROGRAMME[acts[tick]]) if acts is not None else initial(robots.knobs)
        restarted.append(robots.step(values))
        states.append(robots.state())
        velocity.append(robots.velocity.mean(0))
    falls = np.array(restarted)
    return Footage(
        qpos=np.array([state.qpos for state in states]),
        captions=tuple(_captions(robots, acts, np.array(velocity), falls)),
        starts=tuple(np.flatnonzero(falls[:, 0]).tolist()) if robots.num_worlds == 1 else (),
        goals=None if states[0].goals is None else np.array([state.goals for state in states]),
        control_hz=robots.spec.control_hz,
    )


def _acts(ticks: int) -> NDArray[np.intp]:
    """(ticks,) index into the programme, stretched to fill the time."""
    ends = np.cumsum([act.seconds for act in PROGRAMME])
    return np.searchsorted(ends / ends[-1], (np.arange(ticks) + 0.5) / ticks)


def _command(robots: ActingRobots, act: Act) -> dict[str, float]:
    space = robots.worlds.space
    units = (space.speed, space.speed, 1.0 / space.time)
    return {label: unit * part for label, unit, part in zip(VELOCITY, units, act.command, strict=True)}


def _captions(
    robots: ActingRobots, acts: NDArray[np.intp] | None, velocity: NDArray[np.float64], restarted: NDArray[np.bool_]
) -> list[Caption]:
    """What is asked and done on average; a while after a fall, that somebody fell."""
    hz, ticks = robots.spec.control_hz, len(restarted)
    if acts is None:
        return [Caption(robots.title, f"{tick / hz:.1f} s") for tick in range(ticks)]
    done = trailing_mean(velocity, max(1, round(SMOOTHING_SECONDS * hz)))
    alarm = np.convolve(restarted.any(1), np.ones(round(FALL_SECONDS * hz)))[:ticks] > 0.0
    captions = []
    for tick, act in enumerate(PROGRAMME[index] for index in acts):
        asked = _command(robots, act)[VELOCITY[act.axis]]
        figures = asked_and_done(asked, done[tick, act.axis], UNITS[act.axis])
        captions.append(Caption("fell, starts again" if alarm[tick] else act.label, figures, alarm=bool(alarm[tick])))
    return captions
