"""Proof that actuator delays act: after a restart, the torque answers a new command as late as the sample says.

The same worlds run twice from the same rows, with commands to either side; the first physics step in which a torque
differs is the lag. MuJoCo holds a command until the first step that begins at least `delay` after it was given.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from envs.randomization.proofs.finding import Problem
from envs.randomization.proofs.provable import Provable

NUDGE = 0.5
"""Change of a command to either side, so that no limit hides it: [rad], or a share of the torque limit."""


def prove_delays(worlds: Provable) -> tuple[tuple[Problem, ...], str]:
    """Problems with the delays that a restart has drawn, and the measured lags in words."""
    dt, randomizer = worlds.spec.physics_dt, worlds.randomizer
    worlds._restart(torch.arange(worlds.num_envs, device=worlds.device))
    nominal = np.array([joint.actuator.delay for joint in worlds.spec.joints])
    delays = randomizer.values[:, randomizer.columns["delay"]].double().cpu().numpy() * nominal
    expected = np.ceil(delays / dt - 1e-6).astype(int)
    found = measured_lags(worlds, int(expected.max()) + 2)
    late = np.argwhere(found != expected)
    problems = tuple(_problem(worlds, delays, expected, found, int(world), int(joint)) for world, joint in late[:1])
    return problems, f"measured lag {found.min()}..{found.max()} physics steps"


def measured_lags(worlds: Provable, steps: int) -> NDArray[np.int64]:
    """(num_worlds, num_joints) physics steps from a command to its torque; `steps` where it never came."""
    physics = worlds.physics
    everyone, rows = torch.arange(physics.num_worlds, device=physics.device), physics.save()

    def torques(actuator: int, change: float) -> torch.Tensor:
        """(steps, num_worlds) of one actuator, whose command changes; the others would move its joint too."""
        physics.restore(everyone, rows)
        physics.ctrl[:, actuator] += change
        return torch.stack([_step(worlds)[:, actuator] for _ in range(steps)])

    lags = []
    for joint in worlds.spec.joints:
        actuator = physics.model.actuator(joint.name).id
        nudge = NUDGE * (1.0 if joint.actuator.control == "position" else joint.actuator.torque_limit)
        answers = (torques(actuator, -nudge) - torques(actuator, nudge)).abs() > 1e-9
        lags.append(torch.where(answers.any(0), answers.int().argmax(0), steps))
    return torch.stack(lags, -1).cpu().numpy()


def _step(worlds: Provable) -> torch.Tensor:
    worlds.physics.step(1)
    return worlds.physics.output("actuator_force").clone()


def _problem(
    worlds: Provable,
    delays: NDArray[np.float64],
    expected: NDArray[np.int64],
    found: NDArray[np.int64],
    world: int,
    joint: int,
) -> Problem:
    model, dt = worlds.physics.model, worlds.spec.physics_dt
    name = worlds.spec.joint_names[joint]
    buffer = int(model.actuator_history[model.actuator(name).id, 0])
    if math.ceil(delays[world, joint] / dt - 1e-6) > buffer:
        fault = "delay clamped"
        remedy = f"its buffer holds {buffer} steps: compile with delay_samples(randomization, spec)"
    elif found[world, joint] < expected[world, joint]:
        fault = "delay collapsed"
        remedy = "restore whole saved state rows; never write time into a row"
    else:
        fault = "delay too long"
        remedy = "check the actuators' history and their delay"
    return Problem(
        term="delay",
        fault=fault,
        field=f"actuator_delay[{name}] after a restart of world {world}",
        expected=f"{expected[world, joint]} physics steps ({1e3 * delays[world, joint]:.3g} ms)",
        found=f"{found[world, joint]} steps from command to torque",
        remedy=remedy,
    )
