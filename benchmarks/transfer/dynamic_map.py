"""What a dynamic map between two closed loops is worth: MuJoCo arms, and recordings of two real machines.

    python -m benchmarks.transfer --part map [--tier smoke|ci|full]

Simulated pairs (`one_joint`, `two_joint_arm`, `spatial_arm`): both robots are sent the same five seconds of several
sines; commands and noisy positions are all that the map is identified from. Then the source makes another motion, ten
seconds long, and the target is sent in turn

- the same commands (`direct`), or a gain matrix and offset times them, fitted to the same five seconds (`static_gain`);
- what the map makes of the source's commands (`dynamic`), of its noisy positions alone (`from_positions`), and tick by
  tick without a look ahead (`online`).

An error is the root mean square between the target's and the source's true positions. `…_error_cut` is one minus the
error of `dynamic` over the lesser of `direct` and `static_gain`; `dynamic_map_error_cut` has all simulated pairs.

Real machines (`real_double_pendulum`): DFKI's designs A.0 and C.1, recorded under open-loop torques. A servo is put
around the recorded signals: the target angle that it would have needed for the torque that was sent is
r = q + (τ + k_d q̇)/k_p, and under that r the machine with the servo would have made just this motion: r and q are the
log of a real closed loop. Two pieces of 2.5 s of each machine make the map; errors are those of
`sim2real.dynamic_map.errors`, over the recordings that were not used: `dynamic` counts what both loops mispredict,
`from_positions` the target's alone, as if the source's motion had been recorded. No machine moved for this: it shows
how well the loops are known that a map is made of, not that a machine followed. Left out where the recordings are not
there.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

import robots
from benchmarks.report import Row, Tier, row
from benchmarks.transfer.double_pendulum import servo_arm
from robots.model import build_model, default_data, joint_qpos_indices
from robots.spec import RobotSpec
from sim2real.dynamic_map.errors import rms, simulated, static_gain
from sim2real.dynamic_map.identify import identify, identify_both
from sim2real.dynamic_map.logs import Log, make_log
from sim2real.dynamic_map.loop import Loop
from sim2real.dynamic_map.mapping import DynamicMap

Array = NDArray[np.float64]
SEEDS: dict[Tier, int] = {"smoke": 1, "ci": 2, "full": 5}
FIT, CHECK = 5.0, 10.0
"""Seconds to identify from, and of the motion to be followed."""
NOISE = 0.005
"""Standard deviation of a measured position [rad]."""
BAND = (0.2, 2.0)
"""Of the sines [Hz]."""
TONES = 6
RAMP = 0.5
"""In which commands swell from rest [s]."""
RECORDINGS = Path(__file__).parents[3] / "shared" / "realdata" / "dfki_double_pendulum"
MACHINES = {
    "A0": ("A0_00", "A0_01", "A0_02", "A0_03", "A0_12", "A0_13"),
    "C1": tuple(f"C1_20230629-{run}" for run in ("143339", "143524", "143601", "143704", "143747", "144115")),
}
"""Recordings that swing no link over the top, the same torques in the same order."""
DRIVEN = 3
"""The first of them have both motors at work; two at a time are identified from."""
KP, KD = np.array([5.0, 3.0]), np.array([0.5, 0.3])
"""Of the servo around them [N·m/rad, N·m·s/rad]."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A robot, and one that shall follow it."""

    source: RobotSpec
    target: RobotSpec
    amplitude: float
    """Root mean square of the commands of a joint about its nominal position [rad]."""


@dataclass
class Found:
    """Errors of one pair, by how the target was commanded, a value for each seed [rad]."""

    errors: dict[str, list[float]] = field(default_factory=dict)

    def add(self, **errors: float) -> None:
        for name, value in errors.items():
            self.errors.setdefault(name, []).append(value)

    def cuts(self, how: str = "dynamic") -> list[float]:
        """Share by which the map undercuts the better of direct commands and a gain."""
        others = zip(self.errors["direct"], self.errors["static_gain"], strict=True)
        return [1.0 - ours / min(each) for ours, each in zip(self.errors[how], others, strict=True)]

    def rows(self, name: str) -> list[Row]:
        seeds = tuple(range(len(self.cuts())))
        rows = [row(f"{name}_{how}_error", "rad", values, seeds) for how, values in self.errors.items()]
        rows.append(row(f"{name}_error_cut", "share", self.cuts(), seeds))
        return [*rows, row(f"{name}_from_positions_error_cut", "share", self.cuts("from_positions"), seeds)]


def rows(tier: Tier) -> Iterator[Row]:
    """The figures of all pairs."""
    cuts: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, pair in pairs(Path(folder)).items():
            found = Found()
            for seed in range(SEEDS[tier]):
                follow(pair, np.random.default_rng(seed), found)
            cuts += found.cuts()
            yield from found.rows(name)
    if RECORDINGS.is_dir():
        yield from recorded(list(combinations(range(DRIVEN), 2))[: SEEDS[tier]]).rows("real_double_pendulum")
    yield row("dynamic_map_error_cut", "share", cuts, tuple(range(SEEDS[tier])))


def pairs(folder: Path) -> dict[str, Pair]:
    """The simulated pairs; their MJCF goes to `folder`."""
    return {
        "one_joint": Pair(
            source=servo_pendulum(kp=40.0, kd=2.5),
            target=servo_pendulum(kp=8.0, kd=1.6, friction_loss=0.1),
            amplitude=0.4,
        ),
        "two_joint_arm": Pair(
            source=servo_arm("C1", folder, kp=(20.0, 10.0), kd=(1.5, 0.6)),
            target=servo_arm("A0", folder, kp=(12.0, 4.0), kd=(1.8, 0.5)),
            amplitude=0.4,
        ),
        "spatial_arm": Pair(
            source=robots.get("arm:links=2,velocity_limit=5"),
            target=robots.get(
                "arm:links=2,velocity_limit=5,stiffness=6,damping_ratio=0.6,reach=1.1,mass=16,delay=0.012"
            ),
            amplitude=0.2,
        ),
    }


def servo_pendulum(*, kp: float, kd: float, friction_loss: float = 0.0) -> RobotSpec:
    """The simple pendulum, hanging, under a position servo [N·m/rad, N·m·s/rad, N·m]."""
    pendulum = robots.get("pendulum")
    joint = pendulum.joints[0]
    actuator = replace(
        joint.actuator,
        control="position",
        kp=kp,
        kd=kd,
        torque_limit=12.0,
        knee_speed=30.0,
        friction_loss=friction_loss,
    )
    return replace(pendulum, joints=(replace(joint, default_position=0.0, actuator=actuator),))


def follow(pair: Pair, rng: np.random.Generator, found: Found) -> None:
    """Identify a map from one motion and have the target follow another."""
    dt, home = 1.0 / pair.source.control_hz, np.array(pair.source.default_controls)
    fit, check = (multisine(rng, seconds, dt, pair.amplitude * np.ones_like(home)) + home for seconds in (FIT, CHECK))
    logs = [Log(dt=dt, command=fit, position=measured(run(spec, fit), rng)) for spec in (pair.source, pair.target)]
    source, target = identify_both([logs[0]], [logs[1]])
    mapped = DynamicMap(source=source.loop, target=target.loop, dt=dt)
    wanted = run(pair.source, check)
    online = mapped.online(wanted[0])
    commands = {
        "direct": check,
        "static_gain": static_gain(logs[1].position, logs[0].position)(check),
        "dynamic": mapped.commands(check, wanted[0]),
        "from_positions": mapped.follow(measured(wanted, rng)),
        "online": np.stack([online.tick(command) for command in check]),
    }
    found.add(**{name: rms(run(pair.target, sent) - wanted) for name, sent in commands.items()})


def multisine(rng: np.random.Generator, seconds: float, dt: float, amplitude: Array) -> Array:
    """(T, num_joints) sines of random phases, one in each part of the band, slow ones larger, to this rms."""
    time = np.arange(round(seconds / dt)) * dt
    spread = (np.arange(TONES)[:, None] + rng.uniform(0.0, 1.0, (TONES, len(amplitude)))) / TONES
    frequency = BAND[0] * (BAND[1] / BAND[0]) ** spread
    size = frequency**-0.5
    size *= amplitude / np.sqrt((size**2).sum(axis=0) / 2.0)
    phase = rng.uniform(0.0, 2.0 * np.pi, size.shape)
    waves = size * np.sin(2.0 * np.pi * frequency * time[:, None, None] + phase)
    return waves.sum(axis=1) * np.minimum(1.0, time / RAMP)[:, None]


def run(spec: RobotSpec, commands: Array) -> Array:
    """True positions (T, num_joints) of a robot as each command is sent, from its nominal pose."""
    model = build_model(spec, delay_samples=10)
    data, indices = default_data(model), joint_qpos_indices(model, spec)
    substeps = round(1.0 / (spec.control_hz * spec.physics_dt))
    positions = np.empty_like(commands)
    for tick, command in enumerate(commands):
        positions[tick] = data.qpos[indices]
        data.ctrl[:] = command
        mujoco.mj_step(model, data, substeps)
    return positions


def measured(positions: Array, rng: np.random.Generator) -> Array:
    """Positions with noise."""
    return positions + rng.normal(0.0, NOISE, positions.shape)


def recorded(choices: Sequence[tuple[int, ...]]) -> Found:
    """Errors between the two real machines, either way, on all recordings but those identified from.

    Args:
        choices: Recordings to identify from, by their places in `MACHINES`; an equal piece of each makes `FIT` seconds.
    """
    logs = {name: [servoed(RECORDINGS / f"sysid_{run}.npz") for run in runs] for name, runs in MACHINES.items()}
    found = Found()
    for chosen in choices:
        fits = {name: [of[index].between(0.0, FIT / len(chosen)) for index in chosen] for name, of in logs.items()}
        loops = {name: identify(fit).loop for name, fit in fits.items()}
        others = {name: [log for index, log in enumerate(of) if index not in chosen] for name, of in logs.items()}
        models = {name: rms(made(loops[name], of) - positions(of)) for name, of in others.items()}
        for source, target in (("A0", "C1"), ("C1", "A0")):
            wanted = made(loops[source], others[target])
            static = static_gain(positions(fits[target]), made(loops[source], fits[target]))
            found.add(
                direct=rms(positions(others[target]) - wanted),
                static_gain=rms(static(positions(others[target])) - wanted),
                dynamic=float(np.hypot(models[source], models[target])),
                from_positions=models[target],
            )
    return found


def positions(logs: Sequence[Log]) -> Array:
    """Of all logs, one after the other."""
    return np.concatenate([log.position for log in logs])


def made(loop: Loop, logs: Sequence[Log]) -> Array:
    """What a loop would have made of their commands."""
    return np.concatenate([simulated(loop, log.command, log) for log in logs])


def servoed(path: Path) -> Log:
    """A recording as the log of the machine under a servo around the recorded signals."""
    with np.load(path, allow_pickle=False) as file:
        time, q, dq, tau = (file[key].astype(np.float64) for key in ("time", "pos_meas", "vel_meas", "tau_cmd"))
    return make_log(time - time[0], q + (tau + KD * dq) / KP, q)
