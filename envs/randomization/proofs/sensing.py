"""Proof that each sensor imperfection changes the channels it claims, no others, and by as much as it says.

The same truth, a smooth motion, is read twice: by sensors with the imperfection alone, and by perfect ones.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from envs.randomization.proofs.finding import Finding, Problem, short
from envs.randomization.ranges import PRESETS, Randomization
from envs.randomization.sensing import SENSOR_TERMS, Channels, Sensing, SensorTerm
from robots.spec import RobotSpec

WORLDS, TICKS = 64, 40
PERFECT = replace(PRESETS["none"], noise=0.0)
OFF: dict[str, Any] = {"sensor_delay": (0.0, 0.0)}
"""Values that switch a term off, other than 0."""


class Reading:
    """What sensors with one imperfection delivered, tick by tick, beside the truth."""

    def __init__(self, spec: RobotSpec, dt: float, channels: tuple[str, ...], randomization: Randomization) -> None:
        generator = torch.Generator().manual_seed(1)
        self.sensing = Sensing(randomization, spec, WORLDS, dt, "cpu")
        self.sensing.restart(torch.arange(WORLDS), generator)
        widths = {name: self.sensing.widths[name] for name in channels}
        self.truth = [motion(widths, tick * dt) for tick in range(TICKS)]
        self.seen = [self.sensing.corrupt(truth, generator) for truth in self.truth]

    def change(self, name: str) -> torch.Tensor:
        """(TICKS, WORLDS, width) seen − true."""
        return torch.stack([seen[name] - true[name] for seen, true in zip(self.seen, self.truth, strict=True)])


def motion(widths: dict[str, int], time: float) -> Channels:
    """Truth at `time` [s]: every channel grows steadily, at its own pace; gravity turns and keeps its length."""
    paces = {name: 0.5 + 0.1 * torch.arange(width) for name, width in widths.items()}
    truth = {name: (0.3 + pace * time).expand(WORLDS, -1) for name, pace in paces.items()}
    if "gravity" in truth:
        angle = torch.tensor(0.3 + 0.5 * time)
        truth["gravity"] = torch.stack([angle.sin(), torch.tensor(0.0), -angle.cos()]).expand(WORLDS, 3)
    return truth


def prove_sensing(spec: RobotSpec, dt: float, channels: tuple[str, ...], asked: Randomization) -> list[Finding]:
    """The proofs of all sensor imperfections, for a robot that measures `channels`."""
    return [_prove(term, spec, dt, channels, asked) for term in SENSOR_TERMS]


def _prove(term: SensorTerm, spec: RobotSpec, dt: float, channels: tuple[str, ...], asked: Randomization) -> Finding:
    value = getattr(asked, term.name)
    claimed = tuple(name for name in term.channels if name in channels)

    def finding(status: str, found: str, effect: str = "", problems: tuple[Problem, ...] = ()) -> Finding:
        return Finding(
            term=term.name,
            kind="sensing",
            claims=", ".join(term.channels),
            found=found,
            effect=effect,
            status="FAILED" if problems else status,
            problems=problems,
        )

    if not claimed:
        return finding("absent", f"the robot measures {', '.join(channels)}" if channels else "no sensor is observed")
    if value == OFF.get(term.name, 0.0):
        return finding("off", f"fixed at {value}")
    alone = replace(PERFECT, **{term.name: value})
    if term.name in ("noise", "bias"):  # the one's factor scales the other
        alone = replace(PERFECT, noise=asked.noise, bias=0.0 if term.name == "noise" else value)
    reading = Reading(spec, dt, channels, alone)
    claimed = tuple(name for name in claimed if _specified(term.name, name, reading.sensing))
    if not claimed:
        return finding("off", "the robot's specification states none")
    expected, found, good = CHECKS[term.name](reading, claimed, alone)
    problems = [_problem(term, ", ".join(claimed), expected, found, "is not what it says")] * (not good)
    for name in channels:
        if term.name == "bias" and name not in claimed:
            continue  # noise is on, which reaches every channel
        changed = bool(reading.change(name).abs().max() > 1e-6)
        if changed != (name in claimed):
            text = "changed" if changed else "unchanged"
            fault = "changes a channel that it does not claim" if changed else "does not reach a channel that it claims"
            problems.append(_problem(term, name, "unchanged" if changed else "changed", text, fault))
    size = max(float(reading.change(name).abs().max()) for name in claimed)
    return finding("proved", found, f"up to {size:.3g} in {', '.join(claimed)}", tuple(problems))


def _specified(term: str, channel: str, sensing: Sensing) -> bool:
    """Whether the specification gives this imperfection of this channel a size."""
    if term == "noise":
        return sensing.deviation[channel] > 0.0
    if term == "bias":
        return {"gyro": sensing.largest_gyro_bias, "joint_pos": sensing.largest_encoder_bias}[channel] > 0.0
    return True


def _problem(term: SensorTerm, channel: str, expected: str, found: str, fault: str) -> Problem:
    return Problem(
        term=term.name,
        fault=fault,
        field=channel,
        expected=expected,
        found=found,
        remedy="mend envs.randomization.sensing, or the term's channels",
    )


Check = Callable[[Reading, tuple[str, ...], Randomization], tuple[str, str, bool]]
"""(reading, claimed channels, randomization) -> expected, found, whether they agree."""


def _noise(reading: Reading, claimed: tuple[str, ...], asked: Randomization) -> tuple[str, str, bool]:
    expected = [reading.sensing.deviation[name] for name in claimed]
    found = [float(reading.change(name).std()) for name in claimed]
    good = all(abs(got - right) < 0.1 * right for got, right in zip(found, expected, strict=True))
    return f"deviations {short(expected)}", f"deviations {short(found)}", good


def _bias(reading: Reading, claimed: tuple[str, ...], asked: Randomization) -> tuple[str, str, bool]:
    bounds = {"gyro": reading.sensing.largest_gyro_bias, "joint_pos": reading.sensing.largest_encoder_bias}
    expected = [bounds[name] for name in claimed]
    drawn = {"gyro": reading.sensing.gyro_bias, "joint_pos": reading.sensing.encoder_bias}
    means = [reading.change(name).mean(0) for name in claimed]
    slack = [5.0 * reading.sensing.deviation[name] / TICKS**0.5 + 1e-6 for name in claimed]
    good = all(
        bool(((mean - drawn[name]).abs() <= more).all()) and bool(drawn[name].abs().max() <= bound)
        for name, mean, more, bound in zip(claimed, means, slack, expected, strict=True)
    )
    largest = [float(drawn[name].abs().max()) for name in claimed]
    good = good and all(got > 0.5 * bound for got, bound in zip(largest, expected, strict=True))
    return f"constant, up to {short(expected)}", f"constant, up to {short(largest)}", good


def _quantization(reading: Reading, claimed: tuple[str, ...], asked: Randomization) -> tuple[str, str, bool]:
    step = asked.quantization
    seen = torch.stack([seen["joint_pos"] for seen in reading.seen]).double()
    off_grid = float((seen / step - (seen / step).round()).abs().max())
    error = float(reading.change("joint_pos").abs().max())
    good = off_grid < 1e-2 and error <= 0.51 * step
    return f"multiples of {step:g}, off by at most half", f"off by at most {error / step:.3g} of a step", good


def _tilt(reading: Reading, claimed: tuple[str, ...], asked: Randomization) -> tuple[str, str, bool]:
    found = []
    for name in claimed:
        pairs = zip(reading.seen, reading.truth, strict=True)
        found += [
            torch.nn.functional.cosine_similarity(seen[name].double(), true[name].double()) for seen, true in pairs
        ]
    angle = float(torch.cat(found).clamp(-1.0, 1.0).acos().max())
    good = 0.3 * asked.imu_tilt < angle <= 1.01 * asked.imu_tilt
    return f"turned by at most {asked.imu_tilt:g} rad", f"turned by at most {angle:.3g} rad", good


def _dropout(reading: Reading, claimed: tuple[str, ...], asked: Randomization) -> tuple[str, str, bool]:
    name = claimed[0]
    seen = torch.stack([seen[name] for seen in reading.seen])
    held = float((seen[1:] == seen[:-1]).all(-1).double().mean())
    slack = 4.0 * (asked.dropout * (1.0 - asked.dropout) / (WORLDS * (TICKS - 1))) ** 0.5
    good = abs(held - asked.dropout) <= slack + 1e-9
    return f"a share of {asked.dropout:g} held", f"a share of {held:.3g} held", good


def _ages(reading: Reading, claimed: tuple[str, ...]) -> torch.Tensor:
    """(ticks, WORLDS, claimed) ages of the samples of growing channels [s], buffers once filled."""
    dt, start = reading.sensing.dt, len(reading.sensing.memory[claimed[0]][0]) + 1
    ages = []
    for name in claimed:
        if name != "gravity":
            pace = (reading.truth[1][name] - reading.truth[0][name]) / dt
            ages.append((-reading.change(name)[start:] / pace).mean(-1))
    return torch.stack(ages, -1)


def _delay(reading: Reading, claimed: tuple[str, ...], asked: Randomization) -> tuple[str, str, bool]:
    low, high = asked.sensor_delay
    ages, drawn = _ages(reading, claimed), reading.sensing.age
    owner = [0 if name == "gyro" else 1 for name in claimed if name != "gravity"]
    within = bool(low - 1e-6 <= drawn.min() and drawn.max() <= high + 1e-6)
    spread = low == high or bool(drawn.std() > 0.1 * (high - low))
    good = within and spread and bool((ages - drawn[:, owner]).abs().max() < 1e-3)
    return f"ages {low:g}..{high:g} s, constant", f"ages {float(ages.min()):.3g}..{float(ages.max()):.3g} s", good


def _jitter(reading: Reading, claimed: tuple[str, ...], asked: Randomization) -> tuple[str, str, bool]:
    ages, most = _ages(reading, claimed), asked.sensor_jitter
    good = ages.min() > -1e-3 and ages.max() <= most + 1e-3 and ages.std(0).min() > 0.1 * most
    return f"ages 0..{most:g} s, changing", f"ages {float(ages.min()):.3g}..{float(ages.max()):.3g} s", bool(good)


CHECKS: dict[str, Check] = {
    "noise": _noise,
    "bias": _bias,
    "quantization": _quantization,
    "imu_tilt": _tilt,
    "dropout": _dropout,
    "sensor_delay": _delay,
    "sensor_jitter": _jitter,
}
