"""Robots behind the UDP protocol, served from a thread: real sockets, real physics."""

import contextlib
import threading
from collections.abc import Iterator, Sequence

import numpy as np

import robots
from robots.backends.emulated import EmulatedRobot, Imperfections
from robots.backends.faults import Fault
from robots.backends.udp_emulator import Clock, UdpEmulator
from robots.model import build_model
from robots.state import RobotCommand


class ListeningRobot(EmulatedRobot):
    """Keeps every command that reached the drives, beside the robot's state number at that moment."""

    emulator: UdpEmulator
    commands: list[tuple[int, RobotCommand]]

    def command(self, command: RobotCommand, at: float) -> None:
        self.commands.append((self.emulator.sequence, command))
        super().command(command, at)

    def first_damping(self) -> tuple[int, RobotCommand] | None:
        """The first command without stiffness, and the robot's state number when it came."""
        return next(((number, command) for number, command in self.commands if not command.kp.any()), None)


@contextlib.contextmanager
def emulated(
    name: str = "go1",
    clock: Clock = "lockstep",
    faults: Sequence[Fault] = (),
    imperfections: Imperfections | None = None,
) -> Iterator[tuple[UdpEmulator, ListeningRobot]]:
    spec = robots.get(name)
    machine = ListeningRobot(spec, build_model(spec), imperfections or Imperfections(), np.random.default_rng(0))
    emulator = UdpEmulator(machine, clock, faults=faults)
    machine.emulator, machine.commands = emulator, []
    thread = threading.Thread(target=emulator.serve, daemon=True)
    thread.start()
    try:
        yield emulator, machine
    finally:
        emulator.stop()
        thread.join(5.0)
        assert not thread.is_alive()
