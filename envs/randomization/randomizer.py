"""Writes samples of a `Randomization` into the model fields of many worlds, and tells teachers what it wrote.

A sample starts from the compiled values, whatever was written before. A restart draws and writes only what varies;
constants are recomputed in the written worlds alone, and only where a varying parameter feeds them.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from envs.physics.interface import Physics
from envs.randomization.anatomy import GROUPS, Anatomy, compiled
from envs.randomization.bodies import Bodies, lacks_family
from envs.randomization.parameter import Parameter
from envs.randomization.plan import WritePlan, each_row_times
from envs.randomization.ranges import PRESETS, Randomization, check_delays_fit, refuse
from envs.randomization.terms import BY_NAME, MODEL_TERMS, PARAMETERS
from robots.joint_space import JointSpace
from robots.spec import RobotSpec

if TYPE_CHECKING:  # costs an import of pyarrow
    from envs.randomization.sample_log import SampleLog


class Randomizer:
    """Hidden parameters of every world.

    Attributes:
        randomization: The ranges in force, without those that have nothing to act on.
        parameters: What this robot has; `columns` says which columns of `values` are whose.
        values: (num_worlds, num_columns), what each world runs with.
        nominal: (num_columns,), values that leave the compiled model as it is.
        hidden: (num_worlds, len(PARAMETERS)) float32, the same for teachers: −1..1 over the default ranges, the mean
            where every joint has its own, nominal where the robot has no such thing.
        log: Where samples are kept, if anywhere.
    """

    def __init__(self, randomization: Randomization, physics: Physics, spec: RobotSpec, space: JointSpace) -> None:
        self.physics, self.spec, self.separate = physics, spec, randomization.separate
        self.anatomy = Anatomy(physics.model, spec, space, physics.device)
        self.parameters = tuple(parameter for parameter in MODEL_TERMS if not self._lack(parameter))
        self.log: SampleLog | None = None
        self.written: tuple[Parameter, ...] = ()
        self.bodies: Bodies | None = None
        self._lay_out()
        self._plan = WritePlan(self.written, self.columns, self.physics, self.anatomy)
        self.set_ranges(randomization)

    def _lack(self, parameter: Parameter) -> str:
        """Why a parameter has nothing to act on; empty if it has."""
        if not parameter.claims:
            return lacks_family(self.spec, self.physics.model)
        claim = parameter.claims[0]
        rows = self.anatomy.rows[claim.rows].cpu().numpy()
        if len(rows) == 0:
            return f"it acts on {GROUPS[claim.rows]}, and there are none"
        if claim.operation == "scale" and not compiled(self.physics.model, claim.field)[rows][:, claim.columns].any():
            return f"it scales {claim.field}, which is 0 throughout"
        return ""

    def _lay_out(self) -> None:
        """Give every parameter its columns of a sample."""
        owners = [item for item in self.parameters for _ in range(item.width(self.anatomy, self.separate))]
        names = [owner.name for owner in owners]
        self.columns = {name: slice(names.index(name), names.index(name) + names.count(name)) for name in names}
        self._owners, device = owners, self.physics.device
        self.nominal = torch.tensor([owner.nominal for owner in owners], dtype=torch.float64, device=device)
        self.values = self.nominal.repeat(self.physics.num_worlds, 1)
        scale, offset = _on_default_scale(self.columns, len(owners))
        self._hidden_scale, self._hidden_offset = scale.to(device), offset.to(device)
        self.hidden = self._hidden(self.values)

    @property
    def column_names(self) -> tuple[str, ...]:
        """A name for each column of `values`: "kp", or "kp.3" where every joint or foot has its own."""
        widths = {name: part.stop - part.start for name, part in self.columns.items()}
        return tuple(
            f"{name}.{index}" if width > 1 else name for name, width in widths.items() for index in range(width)
        )

    @property
    def tilts_gravity(self) -> bool:
        """Whether things do not fall straight down in every world."""
        return any("opt.gravity" in item.fields for item in self.written)

    @property
    def gravity_direction(self) -> torch.Tensor:
        """(num_worlds, 3) unit vectors along which things fall."""
        if self.tilts_gravity:
            gravity = self.physics.model_field("opt.gravity")
        else:
            gravity = torch.from_numpy(self.physics.model.opt.gravity.copy()).to(self.physics.device)
        return (gravity / gravity.norm(dim=-1, keepdim=True)).expand(self.physics.num_worlds, 3)

    def set_ranges(self, randomization: Randomization) -> None:
        """Draw from other ranges from now on: fixed values change at once, others at the next restart of each world.

        Raises:
            ValueError: a range asks for what this robot does not have, or for what MuJoCo would change silently; or
                `separate` differs.
        """
        if randomization.separate != self.separate:
            raise ValueError(f"separate must stay {self.separate}, got {randomization.separate}; make new worlds")
        self.randomization = self._fitted(randomization)
        self._check_limits(self.randomization)
        ranges = [getattr(self.randomization, owner.name) for owner in self._owners]
        self._use(torch.tensor(ranges, dtype=torch.float64, device=self.physics.device).reshape(-1, 2))

    def _fitted(self, randomization: Randomization) -> Randomization:
        """Without what has nothing to act on here; refused if somebody asked for it."""
        absent = {item.name: item.nominal for item in MODEL_TERMS if item not in self.parameters}
        for name in absent:
            refuse(name, getattr(randomization, name), self.spec, self._lack(BY_NAME[name]))
        return replace(randomization, **{name: (value, value) for name, value in absent.items()})  # type: ignore[arg-type]

    def _check_limits(self, randomization: Randomization) -> None:
        """Refuse what MuJoCo would change without a word."""
        model = self.physics.model
        if "delay" in self.columns:
            longest = model.actuator_delay.max() * (randomization.delay[1] + randomization.delay_jitter)
            check_delays_fit(longest, model.actuator_history[:, 0].min() * model.opt.timestep)
        if "contact_time" in self.columns:
            feet = self.anatomy.rows["feet"].cpu().numpy()
            shortest = model.geom_solref[feet, 0].min() * randomization.contact_time[0]
            if 0.0 < shortest < 2.0 * model.opt.timestep:
                raise ValueError(
                    f"contact_time reaches {1e3 * shortest:.2f} ms; below two physics steps "
                    f"({2e3 * model.opt.timestep:.2f} ms) MuJoCo silently takes those: raise the lower end of its range"
                )

    def _use(self, ranges: torch.Tensor) -> None:
        """Draw from `ranges`, (num_columns, 2), from now on."""
        self._low, self._high = ranges.unbind(-1)
        if "link_length" in self.columns:
            self._compile_bodies(ranges[self.columns["link_length"].start].tolist())
        self._varying = (self._low < self._high).nonzero()[:, 0]
        self._feeds_constants = any(self._owners[column].constants for column in self._varying.tolist())
        self._write_also({self._owners[column].name for column in self._varying.tolist()})
        fixed = torch.where(self._low < self._high, self.values, self._low)
        self.apply(torch.arange(self.physics.num_worlds, device=self.physics.device), fixed)

    def _compile_bodies(self, span: list[float]) -> None:
        """Have bodies for link lengths from `span[0]` to `span[1]`."""
        low, high = span
        bodies = None if low == high == 1.0 else Bodies(self.physics, self.spec, (low, high))
        if bodies or self.bodies:
            self.bodies = bodies or Bodies(self.physics, self.spec, (1.0, 1.0))
            self.values[:, self.columns["link_length"]].clamp_(low, high)
            self._plan = WritePlan(self.written, self.columns, self.physics, self.anatomy, self.bodies)

    def _write_also(self, names: set[str]) -> None:
        """Write these parameters too, from now on, and those that are set rather than changed."""
        keep = names | {item.name for item in self.written}
        keep |= {item.name for item in self.parameters if any(claim.operation == "set" for claim in item.claims)}
        written = tuple(item for item in self.parameters if item.name in keep)
        if written != self.written:
            self.written = written
            self._plan = WritePlan(written, self.columns, self.physics, self.anatomy, self.bodies)

    def keep_samples(self, log: "SampleLog") -> None:
        """Write what all worlds run with, and what later restarts draw, to `log`, whose columns are `column_names`."""
        self.log = log
        log.add(torch.arange(self.physics.num_worlds), self.values)

    def resample(self, worlds: torch.Tensor, generator: torch.Generator) -> None:
        """Draw what varies anew for `worlds`, (n,), and write it."""
        if len(self._varying):
            shape = (len(worlds), len(self._low))
            drawn = torch.rand(shape, generator=generator, device=self.physics.device).double()
            self.values[worlds] = torch.lerp(self._low, self._high, drawn)  # what does not vary stays what it is
            self._write(worlds)
            if self._feeds_constants:
                self.physics.set_const(worlds)
        if self.log is not None:
            self.log.add(worlds, self.values[worlds])

    def apply(self, worlds: torch.Tensor, values: torch.Tensor) -> None:
        """Write parameter values, (n, num_columns), into `worlds`, (n,).

        Raises:
            ValueError: a delay does not fit into its buffer.
        """
        if "delay" in self.columns:
            model = self.physics.model
            factor = float(values[:, self.columns["delay"]].max()) + self.randomization.delay_jitter
            longest = model.actuator_delay.max() * factor
            check_delays_fit(longest, model.actuator_history[:, 0].min() * model.opt.timestep)
        changed = (values != self.nominal).any(0)
        self._write_also({self._owners[column].name for column in changed.nonzero()[:, 0].tolist()})
        self.values[worlds] = values
        self._write(worlds)
        if any(item.constants for item in self.written):
            self.physics.set_const(worlds)

    def _write(self, worlds: torch.Tensor) -> None:
        """Put the values of `worlds` into their model fields."""
        if self.bodies:  # a length stands for the nearest body
            length = self.columns["link_length"].start
            self.values[worlds, length] = self.bodies.factors[self.bodies.index(self.values[worlds, length])]
        values = self.values[worlds]
        self.hidden[worlds] = self._hidden(values)
        self._plan.write(worlds, values)

    def _hidden(self, values: torch.Tensor) -> torch.Tensor:
        """What teachers are told of samples, (n, num_columns)."""
        return (each_row_times(values, self._hidden_scale) + self._hidden_offset).float()

    def state_dict(self) -> dict[str, torch.Tensor]:
        """What later restarts depend on; samples logged so far are on disk afterwards."""
        state = {"values": self.values.clone(), "ranges": torch.stack([self._low, self._high], -1)}
        return state | ({} if self.log is None else {"log": self.log.flush()})

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Continue where `state_dict` was taken, with its ranges and values in all worlds."""
        ranges = state["ranges"].to(self.physics.device)
        now = {name: tuple(ranges[part.start].tolist()) for name, part in self.columns.items()}
        self.randomization = replace(self.randomization, **now)  # type: ignore[arg-type]
        self._use(ranges)
        self.apply(torch.arange(self.physics.num_worlds, device=self.physics.device), state["values"].to(self._low))
        if self.log is not None and "log" in state:
            self.log.rewind(state["log"])


def _on_default_scale(columns: dict[str, slice], width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Matrix (width, len(PARAMETERS)) and offset that put a sample on −1..1 over the default ranges."""
    scale = torch.zeros(width, len(PARAMETERS), dtype=torch.float64)
    offset = torch.zeros(len(PARAMETERS), dtype=torch.float64)
    for index, name in enumerate(PARAMETERS):
        low, high = getattr(PRESETS["default"], name)
        offset[index] = -2.0 * low / (high - low) - 1.0
        if name in columns:
            part = columns[name]
            scale[part, index] = 2.0 / (high - low) / (part.stop - part.start)
        else:
            offset[index] += 2.0 * BY_NAME[name].nominal / (high - low)
    return scale, offset
