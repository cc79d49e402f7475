"""What the results tell together: which robots there are, and what belongs to whom."""

from collections.abc import Sequence
from dataclasses import dataclass

from sim2real.report.canvas import BLUE, GREEN, ORANGE, RED
from sim2real.report.results import Result

ROBOT_COLOURS = (BLUE, ORANGE, GREEN, RED)
PAINTS = ((0.16, 0.42, 0.85), (0.93, 0.5, 0.13), (0.1, 0.6, 0.42), (0.82, 0.2, 0.2))
"""Colours of the robots in films, those of their scores in plots."""


@dataclass(frozen=True)
class Story:
    """Results in the order in which they are told."""

    results: tuple[Result, ...]

    @property
    def robots(self) -> list[str]:
        """In order of appearance."""
        named = [robot for result in self.results for robot in (self.source(result), self.robot(result))]
        return [robot for robot in dict.fromkeys(named) if robot]

    def robot(self, result: Result) -> str:
        """The robot a result is about: its own word, else that of the results it was made from."""
        if result.robot:
            return result.robot
        return next((robot for parent in self.parents(result) if (robot := self.robot(parent))), "")

    def source(self, result: Result) -> str:
        """The robot that a transfer came from; empty for anything else."""
        if result.kind != "transfer":
            return ""
        named = [self.robot(parent) for parent in self.parents(result)]
        return result.text("source_robot") or next(filter(None, named), "")

    def parents(self, result: Result) -> list[Result]:
        """The told results that went into a result."""
        keys = [key for given in result.inputs.values() for key in (given if isinstance(given, list) else [given])]
        return [other for other in self.results if other is not result and other.key and other.key in keys]

    def no_op(self, robot: str) -> float | None:
        """What standing still scores on a robot."""
        scores = [result.number("no_op") for result in self.results if self.robot(result) == robot]
        return next((score for score in scores if score is not None), None)

    def colour(self, robot: str) -> str:
        return ROBOT_COLOURS[self._place(robot) % len(ROBOT_COLOURS)]

    def paint(self, robot: str) -> tuple[float, float, float]:
        return PAINTS[self._place(robot) % len(PAINTS)]

    def _place(self, robot: str) -> int:
        return self.robots.index(robot) if robot in self.robots else 0

    @property
    def title(self) -> str:
        robots = self.robots
        if not robots:
            return "Results"
        reached = "sealed realities" if any(result.kind == "rehearse" for result in self.results) else ""
        handed = [f"handed to {' and '.join(robots[1:])}"] if len(robots) > 1 else []
        crossed = [f"carried into {reached}"] if reached else []
        return ", ".join([f"A walking skill of {robots[0]}", *crossed, *handed])


def joined(names: Sequence[str]) -> str:
    """Such as `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""
