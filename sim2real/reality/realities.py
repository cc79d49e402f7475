"""Sealed realities: robots whose true dynamics nobody outside this process can read before the trial is over.

    python -m sim2real.reality.realities FOLDER --seed 3 --clock lockstep

FOLDER holds `robot.json` and its MJCF. The first line of output is "port N"; the robot then lives behind the UDP
protocol. When its writer says goodbye, the last line of output is the judgement and, only now, what was hidden.

A reality differs from the training simulator in numbers (masses, friction, strength, …), in structure (a lag in the
drives, jitter, a battery that sags, a tilted IMU, the whole body collides) and in numerics (time step, friction cone).
No module of training, export or deployment imports this file.
"""

import argparse
import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import mujoco
import numpy as np

from robots.backends.emulated import EmulatedRobot, Imperfections
from robots.backends.udp_emulator import UdpEmulator
from robots.model import DEFAULT_KEY, build_model, edit_model, foot_geom_ids, joint_dof_indices
from robots.spec import RobotSpec, load_folder
from sim2real.deploy.clock import real_time_priority
from sim2real.reality.episodes import Episode
from sim2real.reality.referee import Referee

PHYSICS_DT = 0.001
"""Longest step of the physics [s]."""
IDLE_SECONDS = 20.0
"""Without a word from its writer for so long, a reality gives up [s]."""
SEAL = 0x51A2EA1
"""Makes these seeds different from all others."""


@dataclass(frozen=True, kw_only=True)
class Reality:
    """What is hidden."""

    mass: float
    """Factor on every mass and inertia."""
    payload: float
    """Carried by the base, in units of the robot's mass."""
    com_offset: tuple[float, float, float]
    """Shift of the base's centre of mass, in units of L."""
    friction: float
    """Between feet and ground [1]."""
    softness: float
    """Time constant of the ground [s]."""
    damping: float
    """Factor on the joints' viscous friction."""
    friction_loss: float
    """Factor on the joints' Coulomb friction."""
    lag: float
    """Time constant with which the drives follow a target [s]."""
    imperfections: Imperfections

    @staticmethod
    def sample(spec: RobotSpec, seed: int) -> "Reality":
        """The reality that `seed` stands for; ranges lie around those of training, a little beyond in places."""
        rng = np.random.default_rng([SEAL, seed])

        def within(low: float, high: float) -> float:
            return float(rng.uniform(low, high))

        def vector(bound: float, size: int = 3) -> tuple[float, ...]:
            return tuple(float(value) for value in rng.uniform(-bound, bound, size))

        x, y, z = vector(0.08)
        return Reality(
            mass=within(0.93, 1.07),
            payload=within(0.0, 0.1),
            com_offset=(x, 0.7 * y, 0.7 * z),
            friction=within(0.4, 1.2),
            softness=within(0.01, 0.03),
            damping=within(0.5, 2.0),
            friction_loss=within(0.5, 2.0),
            lag=within(0.006, 0.014),
            imperfections=Imperfections(
                delay=within(0.004, 0.016),
                jitter=within(0.0, 0.008),
                strength=within(0.8, 1.05),
                sag=within(0.0, 0.12),
                encoder_bias=vector(1.2 * spec.encoders.position_bias, spec.num_joints),
                gyro_bias=vector(1.2 * spec.imu.gyro_bias),  # type: ignore[arg-type]
                mounting=vector(0.015),  # type: ignore[arg-type]
                noise=within(0.3, 1.0),
            ),
        )

    def build(self, spec: RobotSpec) -> mujoco.MjModel:
        """The robot with this body on this ground."""
        editable = edit_model(spec, contacts="full")
        period = 1.0 / spec.control_hz
        editable.option.timestep = period / np.ceil(period / PHYSICS_DT - 1e-9)
        editable.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
        editable.option.iterations = 50
        nominal = build_model(spec)
        editable.add_key(name=DEFAULT_KEY, qpos=nominal.key(DEFAULT_KEY).qpos, ctrl=nominal.key(DEFAULT_KEY).ctrl)
        model = editable.compile()
        self._change_body(model, spec)
        return model

    def _change_body(self, model: mujoco.MjModel, spec: RobotSpec) -> None:
        base, feet, dofs = model.body(spec.base_body).id, foot_geom_ids(model, spec), joint_dof_indices(model, spec)
        model.body_mass *= self.mass
        model.body_inertia *= self.mass
        loaded = 1.0 + self.payload * spec.mass / model.body_mass[base]
        model.body_mass[base] *= loaded
        model.body_inertia[base] *= loaded
        model.body_ipos[base] += spec.length * np.array(self.com_offset)
        model.geom_friction[feet, 0] = self.friction
        model.geom_solref[feet, 0] = self.softness
        model.dof_damping[dofs] *= self.damping
        model.dof_frictionloss[dofs] *= self.friction_loss
        mujoco.mj_setConst(model, mujoco.MjData(model))


class SealedRobot(EmulatedRobot):
    """A robot in a reality, and the referee that watches it."""

    def __init__(self, spec: RobotSpec, seed: int) -> None:
        self.reality = Reality.sample(spec, seed)
        self.referee = Referee(spec)
        rng = np.random.default_rng([SEAL, seed, 1])
        model, imperfections, lag = self.reality.build(spec), self.reality.imperfections, self.reality.lag
        super().__init__(spec, model, imperfections, rng, lag)

    def reset(self, note: Sequence[float] = ()) -> None:
        """Stand again, for the episode that `note` announces."""
        if note:
            self.referee.begin(Episode.from_note(note))
        super().reset(note)

    def advance(self, seconds: float) -> None:
        """Let time pass, watched."""
        super().advance(seconds)
        self.referee.watch(
            seconds,
            velocity=self.velocity,
            gyro=self.gyro,
            orientation=self.orientation,
            height=self.height,
            broken=self.diverged,
        )


def main() -> None:
    """Hold one reality until its writer says goodbye, then judge and tell."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--clock", choices=("lockstep", "real"), default="lockstep")
    arguments = parser.parse_args()
    robot = SealedRobot(load_folder(arguments.folder), arguments.seed)
    emulator = UdpEmulator(robot, arguments.clock)
    print(f"port {emulator.address[1]}", flush=True)
    with real_time_priority() if arguments.clock == "real" else nullcontext():  # a robot's bus is never busy elsewhere
        emulator.serve(once=True, idle_seconds=IDLE_SECONDS)
    robot.referee.finish()
    judgement = {"episodes": robot.referee.episodes, "seconds_real": robot.referee.seconds_real}
    print(json.dumps({"seed": arguments.seed, **judgement, "hidden": asdict(robot.reality)}))


if __name__ == "__main__":
    main()
