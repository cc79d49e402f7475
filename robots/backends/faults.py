"""Ways in which an emulated robot breaks, on demand, as real ones do."""

from dataclasses import dataclass
from typing import Literal

FaultKind = Literal["nan", "freeze", "drop", "crc", "tilt", "range", "speed", "zero_imu"]
FAULTS: dict[str, str] = {
    "nan": "the first joint's position is not a number",
    "freeze": "the same state again and again",
    "drop": "no state at all",
    "crc": "states arrive damaged",
    "tilt": "the robot is kicked over once, by 1.2 rad",
    "range": "the first encoder reads 1 rad beyond its joint's range",
    "speed": "the first joint reads 10 times its largest speed",
    "zero_imu": "the IMU reports an orientation of zeros",
}
FOREVER = 2**62


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that breaks at a control tick, and for how long."""

    kind: FaultKind
    start: int
    """Sequence of the first state that it spoils."""
    ticks: int = FOREVER

    @staticmethod
    def parse(text: str) -> "Fault":
        """The fault written as `KIND@TICK` or `KIND@TICK+TICKS`."""
        kind, _, when = text.partition("@")
        start, _, ticks = when.partition("+")
        if kind not in FAULTS or not start.isdigit() or not (ticks or "1").isdigit():
            raise ValueError(f"a fault is KIND@TICK or KIND@TICK+TICKS, KIND one of {', '.join(FAULTS)}; got {text!r}")
        return Fault(kind=kind, start=int(start), ticks=int(ticks) if ticks else FOREVER)  # type: ignore[arg-type]

    def acts_on(self, sequence: int) -> bool:
        return self.start <= sequence < self.start + self.ticks
