"""What real sensors make of the truth: tilted, late, biased, noisy, rounded, and now and then lost.

One sample a control tick. An IMU mounted askew measures rotated vectors; the sample that arrives is some time old
(between ticks: interpolated); bias and noise come on top; encoders round; a lost sample leaves the one before it.
"""

from dataclasses import dataclass

import torch

from envs.draws import rand, uniform
from envs.randomization.ranges import Randomization, refuse
from robots.spec import RobotSpec

EVERY = slice(None)
Channels = dict[str, torch.Tensor]
"""Channel -> (num_worlds, width): "gravity" [1], "gyro" [rad/s], "joint_pos" [rad], "joint_vel" [rad/s]."""
GROUPS = {"imu": ("gravity", "gyro"), "encoders": ("joint_pos", "joint_vel")}
"""Channels by the sensor that delivers them: late and lost together."""


@dataclass(frozen=True, kw_only=True)
class SensorTerm:
    """An imperfection."""

    name: str
    """Field of `Randomization`."""
    unit: str
    channels: tuple[str, ...]
    """What it changes."""


ALL = ("gravity", "gyro", "joint_pos", "joint_vel")
SENSOR_TERMS = (
    SensorTerm(name="noise", unit="1", channels=ALL),
    SensorTerm(name="bias", unit="1", channels=("gyro", "joint_pos")),
    SensorTerm(name="quantization", unit="rad", channels=("joint_pos",)),
    SensorTerm(name="imu_tilt", unit="rad", channels=("gravity", "gyro")),
    SensorTerm(name="dropout", unit="1", channels=ALL),
    SensorTerm(name="sensor_delay", unit="s", channels=ALL),
    SensorTerm(name="sensor_jitter", unit="s", channels=ALL),
)


class Sensing:
    """Sensor imperfections of every world; those of sensors that a robot lacks are refused if asked for.

    Attributes:
        gyro_bias, encoder_bias: (num_worlds, 3) [rad/s] and (num_worlds, num_measured) [rad], constant in an episode.
        tilt: (num_worlds, 3) small rotation of the IMU [rad].
        age: (num_worlds, 2) of the samples of IMU and encoders [s].
    """

    def __init__(
        self, randomization: Randomization, spec: RobotSpec, num_worlds: int, dt: float, device: torch.device | str
    ) -> None:
        self.randomization, self.spec, self.num_worlds, self.dt = randomization, spec, num_worlds, dt
        self.device = torch.device(device)
        joints = len(spec.measured_joints)
        self.widths = {"gravity": 3, "gyro": 3, "joint_pos": joints, "joint_vel": joints}
        noise, imu, encoders = randomization.noise, spec.imu, spec.encoders
        self.deviation = {
            "gravity": imu.gravity_noise * noise,
            "gyro": imu.gyro_noise * noise,
            "joint_pos": encoders.position_noise * noise,
            "joint_vel": encoders.velocity_noise * noise,
        }
        self.largest_gyro_bias = imu.gyro_bias * noise * randomization.bias
        self.largest_encoder_bias = encoders.position_bias * noise * randomization.bias
        self.imu_tilt = randomization.imu_tilt
        if "imu" not in spec.sensors:
            refuse("imu_tilt", self.imu_tilt, spec, "it turns the IMU, and there is none")
            self.imu_tilt = 0.0
        self.gyro_bias, self.tilt = self._zeros(3), self._zeros(3)
        self.encoder_bias, self.age = self._zeros(joints), self._zeros(len(GROUPS))
        self._begin_memory()

    def _zeros(self, *width: int) -> torch.Tensor:
        return torch.zeros(self.num_worlds, *width, device=self.device)

    def _begin_memory(self) -> None:
        """Buffers of true samples, newest first, where they may arrive late; and what was delivered last."""
        longest = self.randomization.sensor_delay[1] + self.randomization.sensor_jitter
        self.late = longest > 0.0
        samples = int(longest / self.dt) + 2 if self.late else 0
        self.memory = {name: self._zeros(samples, width) for name, width in self.widths.items()}
        self.delivered: Channels = {name: self._zeros(width) for name, width in self.widths.items()}
        self.fresh = torch.ones(self.num_worlds, dtype=torch.bool, device=self.device)

    def restart(self, worlds: torch.Tensor, generator: torch.Generator) -> None:
        """Draw what is constant in an episode for `worlds`, (n,), and forget their samples."""
        n, joints = len(worlds), self.widths["joint_pos"]
        self.gyro_bias[worlds] = uniform(generator, n, 3) * self.largest_gyro_bias
        self.encoder_bias[worlds] = uniform(generator, n, joints) * self.largest_encoder_bias
        if self.imu_tilt > 0.0:
            axis = torch.nn.functional.normalize(uniform(generator, n, 3), dim=-1)
            share = rand(generator, n, 1)
            self.tilt[worlds] = axis * share * self.imu_tilt
        if self.late:
            low, high = self.randomization.sensor_delay
            share = rand(generator, n, len(GROUPS))
            self.age[worlds] = low + (high - low) * share
        self.fresh[worlds] = True

    def corrupt(self, raw: Channels, generator: torch.Generator) -> Channels:
        """What the sensors deliver at this tick: call once for each control step, and after the first restart.

        Args:
            raw: The truth, channel by channel; channels that a robot cannot measure may be left out.
            generator: Of noise, jitter and losses.
        """
        mounted = self._mount(raw)
        if self.late:
            self._remember(mounted, advance=True)
        seen = self._sample(mounted, generator)
        seen = self._lose(seen, generator)
        self._deliver(seen)
        return seen

    def corrupt_restarted(self, raw: Channels, generator: torch.Generator) -> Channels:
        """The same tick again after restarts: new samples in the worlds that restarted, the old ones elsewhere."""
        mounted, rows = self._mount(raw), self.fresh.nonzero()[:, 0]
        if self.late:
            self._remember(mounted, advance=False)
        begun = self._sample({name: value[rows] for name, value in mounted.items()}, generator, rows)
        seen = {name: self.delivered[name].index_copy(0, rows, value) for name, value in begun.items()}
        self._deliver(seen)
        return seen

    def _mount(self, raw: Channels) -> Channels:
        """Rotate the IMU's vectors by its tilt (to first order and renormalized: v + v × tilt)."""
        if self.imu_tilt == 0.0:
            return raw
        turned = {}
        for name in GROUPS["imu"]:
            if name in raw:
                length = raw[name].norm(dim=-1, keepdim=True)
                askew = raw[name] + torch.cross(raw[name], self.tilt, dim=-1)
                turned[name] = torch.nn.functional.normalize(askew, dim=-1) * length
        return raw | turned

    def _remember(self, truth: Channels, advance: bool) -> None:
        """Put the truth in the buffers; worlds that have just begun have never seen anything else."""
        for name, value in truth.items():
            memory = self.memory[name]
            if advance:
                memory = torch.cat([value[:, None], memory[:, :-1]], 1)
            self.memory[name] = torch.where(self.fresh[:, None, None], value[:, None], memory)

    def _sample(self, truth: Channels, generator: torch.Generator, rows: torch.Tensor | slice = EVERY) -> Channels:
        """Late, biased, noisy and rounded, for the worlds in `rows`."""
        seen = {name: value[rows] for name, value in self._recall(generator).items()} if self.late else truth
        seen = {name: seen[name] + self._noise(truth[name], self.deviation[name], generator) for name in truth}
        if "gyro" in seen:
            seen["gyro"] = seen["gyro"] + self.gyro_bias[rows]
        if "joint_pos" in seen:
            seen["joint_pos"] = seen["joint_pos"] + self.encoder_bias[rows]
            if self.randomization.quantization > 0.0:
                seen["joint_pos"] = (seen["joint_pos"] / self.randomization.quantization).round()
                seen["joint_pos"] = seen["joint_pos"] * self.randomization.quantization
        return seen

    def _recall(self, generator: torch.Generator) -> Channels:
        """Samples of each group's age, between ticks by linear interpolation."""
        share = rand(generator, self.num_worlds, len(GROUPS))
        ticks = (self.age + self.randomization.sensor_jitter * share) / self.dt
        recalled, rows = {}, torch.arange(self.num_worlds, device=self.device)
        for index, names in enumerate(GROUPS.values()):
            older = ticks[:, index].floor().long()
            part = (ticks[:, index] - older)[:, None]
            for name in names:
                memory = self.memory[name]
                recalled[name] = memory[rows, older] * (1.0 - part) + memory[rows, older + 1] * part
        return recalled

    def _lose(self, seen: Channels, generator: torch.Generator) -> Channels:
        """Repeat the last sample where this one is lost."""
        if self.randomization.dropout == 0.0:
            return seen
        draw = rand(generator, self.num_worlds, len(GROUPS))
        lost = (draw < self.randomization.dropout) & ~self.fresh[:, None]
        return {
            name: torch.where(lost[:, index, None], self.delivered[name], seen[name])
            for index, names in enumerate(GROUPS.values())
            for name in names
            if name in seen
        }

    def _deliver(self, seen: Channels) -> None:
        self.delivered = self.delivered | seen
        self.fresh = torch.zeros_like(self.fresh)

    def _noise(self, like: torch.Tensor, deviation: float, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(like.shape, generator=generator, device=self.device) * deviation

    def state_dict(self) -> dict[str, torch.Tensor]:
        """What later samples depend on, the generator apart."""
        state = {name: getattr(self, name).clone() for name in ("gyro_bias", "encoder_bias", "tilt", "age", "fresh")}
        state |= {f"memory.{name}": value.clone() for name, value in self.memory.items()}
        return state | {f"delivered.{name}": value.clone() for name, value in self.delivered.items()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Continue where `state_dict` was taken."""
        for name in ("gyro_bias", "encoder_bias", "tilt", "age", "fresh"):
            setattr(self, name, state[name].to(self.device))
        self.memory = {name: state[f"memory.{name}"].to(self.device) for name in self.memory}
        self.delivered = {name: state[f"delivered.{name}"].to(self.device) for name in self.delivered}
