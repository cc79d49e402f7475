"""Bodies that vary while a policy learns: members of a family become others, wider ones while that goes well.

Every number of a body that tells length, mass or motor is multiplied by exp(u), u uniform in −r..r; whole numbers and
rates stay. A member's radius r grows from 0 to `vary`: after automatic domain randomization (OpenAI et al. 2019,
arXiv:1910.07113, section 5), whose ranges widen while a policy stands them. What is on trial here is a whole body, as
it is drawn: the policy is scored on it before it learns from it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from policies.members.worlds import Member
from robots import families
from robots.families import FAMILIES, Arm, Quadruped
from robots.spec import RobotSpec

Family = Quadruped | Arm
KEPT = ("control_hz", "physics_dt")
"""Numbers that do not vary: a control period must stay a whole number of physics steps."""
DIGITS = 4
"""Significant digits of what is drawn, so that names stay readable."""
TRIES = 100
PAIRS = 16
"""Of opposite corners that stand for all bodies within reach."""


@dataclass
class BodyCurriculum:
    """Which body each member has, and how far from its own the next may be.

    Attributes:
        own: The bodies of those members that belong to a family, by their number.
        vary: Greatest radius.
        low, high: Scores at which a radius shrinks and grows.
        step: By how much, of `vary`.
        seed: Of what is drawn.
        widths: Radius of each member, as a share of `vary`.
        now: The body that each member has.
        met: How many it has had, its own included.
    """

    own: dict[int, Family]
    vary: float
    low: float = 0.5
    high: float = 0.7
    step: float = 0.2
    seed: int = 0
    widths: dict[int, float] = field(init=False)
    now: dict[int, Family] = field(init=False)
    met: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.low <= self.high:
            raise ValueError(f"low must not exceed high, got {self.low} and {self.high}; both are scores")
        if not 0.0 < self.step <= 1.0:
            raise ValueError(f"step must lie within 0..1 of vary, got {self.step}")
        self.widths, self.met = dict.fromkeys(self.own, 0.0), dict.fromkeys(self.own, 1)
        self.now, self._turns = dict(self.own), 0
        self.generator = np.random.default_rng(self.seed)

    @staticmethod
    def of(members: Sequence[Member], vary: float, seed: int) -> "BodyCurriculum":
        """For those of the members that belong to a family.

        Raises:
            ValueError: none of them does.
        """
        own = {index: body for index, member in enumerate(members) if (body := family_body(member.spec))}
        if not own:
            raise ValueError(
                f"bodies vary within a family ({', '.join(FAMILIES)}), got {', '.join(m.robot for m in members)}; name "
                "one such as quadruped:velocity, or leave vary at 0"
            )
        return BodyCurriculum(own, vary, seed=seed)

    def reach(self) -> Iterator[Family]:
        """Bodies at the corners of what may be drawn of each member, the same ones whenever this is asked."""
        generator = np.random.default_rng([self.seed, PAIRS])
        for body in self.own.values():
            for _ in range(PAIRS):
                signs = generator.choice((-1.0, 1.0), len(varying(body)))
                yield furthest(body, signs * self.vary)
                yield furthest(body, -signs * self.vary)

    def draw(self) -> tuple[int, Family]:
        """The member whose turn it is, and the body that it is to try."""
        members = list(self.own)
        member = members[self._turns % len(members)]
        self._turns += 1
        return member, drawn(self.own[member], self.vary * self.widths[member], self.generator)

    def judge(self, member: int, body: Family, score: float) -> None:
        """Give a member the body it tried with this score, 0..1, and move its radius."""
        change = self.step * ((score >= self.high) - (score <= self.low))
        self.widths[member] = round(min(max(self.widths[member] + change, 0.0), 1.0), 9)
        self.met[member] += body != self.now[member]
        self.now[member] = body

    def state_dict(self) -> dict[str, Any]:
        """What later bodies depend on, as JSON data."""
        return {
            "widths": list(self.widths.values()),
            "met": list(self.met.values()),
            "now": [families.robot_name(body) for body in self.now.values()],
            "turns": self._turns,
            "generator": self.generator.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.widths = dict(zip(self.own, state["widths"], strict=True))
        self.met = dict(zip(self.own, state["met"], strict=True))
        self.now = dict(zip(self.own, map(families.parse, state["now"]), strict=True))
        self._turns = state["turns"]
        self.generator.bit_generator.state = state["generator"]


def family_body(spec: RobotSpec) -> Family | None:
    """The parameters that a robot was made from; None if it is of no family, or was changed since."""
    if spec.name.partition(":")[0] not in FAMILIES:
        return None
    body = families.parse(spec.name)
    return body if families.build(body).model_hash == spec.model_hash else None


def varying(body: Family) -> list[str]:
    """Names of the parameters that vary: all real numbers but rates."""
    return [item.name for item in fields(body) if item.type is float and item.name not in KEPT]


def drawn(body: Family, radius: float, generator: np.random.Generator) -> Family:
    """Another member of a body's family, each parameter times exp(uniform(−radius, radius)).

    Bodies that the family does not allow are drawn again.

    Raises:
        ValueError: none that was drawn is allowed.
    """
    if radius == 0.0:
        return body
    made = _first(lambda: generator.uniform(-radius, radius, len(varying(body))), body)
    if made is None:
        raise ValueError(
            f"{families.robot_name(body)} lies too near to the limits of its family: none of {TRIES} bodies within "
            f"exp(±{radius}) is allowed; vary it less, or begin further inside"
        )
    return made


def furthest(body: Family, logarithms: np.ndarray) -> Family:
    """The body whose parameters are times exp(logarithms), or as near to it as the family allows."""
    shares = iter(np.linspace(1.0, 0.0, TRIES))
    made = _first(lambda: logarithms * next(shares), body)
    return body if made is None else made


def _first(logarithms: Callable[[], np.ndarray], body: Family) -> Family | None:
    """The first body of `TRIES` that its family allows."""
    for _ in range(TRIES):
        try:
            return _times(body, np.exp(logarithms()))
        except ValueError:
            continue
    return None


def _times(body: Family, factors: np.ndarray) -> Family:
    values = {name: getattr(body, name) * factor for name, factor in zip(varying(body), factors, strict=True)}
    return replace(body, **{name: float(f"{value:.{DIGITS}g}") for name, value in values.items()})  # type: ignore[arg-type]
