"""An actor sees only what its robot's declared sensors can measure."""

from collections.abc import Sequence

from envs.observations import Term
from robots.spec import RobotSpec


def refuse_unmeasurable(spec: RobotSpec, terms: Sequence[Term]) -> None:
    """Check the terms that reach an actor.

    Raises:
        ValueError: a term needs a sensor that the robot does not declare; the message names both.
    """
    for term in terms:
        if term.measurable and term.sensor and term.sensor not in spec.sensors:
            raise ValueError(
                f"actor term {term.name!r} needs sensor {term.sensor!r}, robot {spec.name} declares "
                f"{', '.join(spec.sensors) or 'none'}; mark the term measurable=False, so that only critics and "
                "teachers see it, or add the sensor to RobotSpec.sensors if the hardware has it"
            )
