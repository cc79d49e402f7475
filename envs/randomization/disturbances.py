"""What happens to a robot while it acts: pushes, random forces, and commands that arrive later than usual.

Called once for each control step, before the physics, and at each restart of a world.
"""

from dataclasses import dataclass

import torch

from envs.draws import happens, rand, uniform
from envs.randomization.anatomy import GROUPS, carrier_body
from envs.randomization.randomizer import Randomizer
from envs.randomization.ranges import Randomization, refuse
from robots.joint_space import JointSpace
from robots.model import has_free_base


@dataclass(frozen=True, kw_only=True)
class DisturbanceTerm:
    """Something that happens."""

    name: str
    """Field of `Randomization`."""
    unit: str
    acts_on: str
    """What it writes: state of the physics, or a model field."""


DISTURBANCE_TERMS = (
    DisturbanceTerm(name="push_speed", unit="√(gL)", acts_on="qvel"),
    DisturbanceTerm(name="force", unit="mg", acts_on="xfrc_applied"),
    DisturbanceTerm(name="delay_jitter", unit="nominal delay", acts_on="actuator_delay"),
)


class Disturbances:
    """Disturbances of every world; what a robot cannot suffer is refused if asked for, else left out.

    Args:
        randomization: How much of each.
        randomizer: Of the worlds they act on; delays jitter from what it drew.
        space: Units of the robot.
        dt: Control period [s].
    """

    def __init__(self, randomization: Randomization, randomizer: Randomizer, space: JointSpace, dt: float) -> None:
        self.randomization, self.randomizer, self.dt = randomization, randomizer, dt
        self.physics = physics = randomizer.physics
        model, spec = physics.model, randomizer.spec
        self.push_speed = randomization.push_speed * space.speed
        if not has_free_base(model, spec):
            refuse("push_speed", randomization.push_speed, spec, f"it pushes {GROUPS['base']}, and there is none")
            self.push_speed = 0.0
        self.force = randomization.force * space.mass * space.gravity
        self.carrier = carrier_body(model, spec)
        self.jitter = randomization.delay_jitter
        if not model.actuator_delay.any():
            refuse("delay_jitter", self.jitter, spec, "it adds to the actuators' nominal delay, which is 0")
            self.jitter = 0.0
        self.forces = torch.zeros(physics.num_worlds, 3, device=physics.device)
        if self.jitter > 0.0:
            self._delay = physics.model_field("actuator_delay")
            self._actuators = randomizer.anatomy.rows["actuators"]
            self._nominal = torch.from_numpy(model.actuator_delay).to(physics.device)[self._actuators]

    def act(self, generator: torch.Generator) -> None:
        """Disturb the worlds for one control step."""
        if self.push_speed > 0.0:
            pushed = happens(generator, self.physics.num_worlds, self.dt, self.randomization.push_seconds)
            if len(pushed):
                self.push(pushed, uniform(generator, len(pushed), 2) * self.push_speed)
        if self.force > 0.0:
            changed = happens(generator, self.physics.num_worlds, self.dt, self.randomization.force_seconds)
            self.forces[changed] = uniform(generator, len(changed), 3) * self.force
            self.physics.xfrc_applied[:, self.carrier, 0:3] = self.forces.to(self.physics.xfrc_applied.dtype)
        if self.jitter > 0.0:
            drawn = self.randomizer.values[:, self.randomizer.columns["delay"]]
            share = rand(generator, len(drawn), 1)
            delays = self._nominal * (drawn + self.jitter * share)
            self._delay[:, self._actuators] = delays.to(self._delay.dtype)

    def push(self, worlds: torch.Tensor, change: torch.Tensor) -> None:
        """Change the horizontal velocity of the free bases of `worlds`, (n,), at once by `change`, (n, 2) [m/s]."""
        self.physics.qvel[worlds, 0:2] += change.to(self.physics.qvel.dtype)

    def restart(self, worlds: torch.Tensor) -> None:
        """Begin new episodes in `worlds`, (n,): no force until the first draw."""
        self.forces[worlds] = 0.0

    def state_dict(self) -> dict[str, torch.Tensor]:
        """What later steps depend on, the generator apart."""
        return {"forces": self.forces.clone()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Continue where `state_dict` was taken."""
        self.forces = state["forces"].to(self.forces)
