"""A robot behind the UDP protocol: the robot's end of `robots.backends.udp`, around real physics.

    python -m robots.backends.udp_emulator go1 --clock real --fault drop@500+25

Its first line of output is "port N". It obeys one writer at a time, damps itself when commands stop coming (real
clock), and can be told to break in the ways real robots do.
"""

import argparse
import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Protocol

import numpy as np

from robots.backends import udp_packets as packets
from robots.backends.faults import FOREVER, Fault, FaultKind
from robots.backends.udp_packets import Kind, Packet, PacketError, RobotInfo
from robots.spec import RobotSpec
from robots.state import Array, RobotCommand, RobotState

Clock = Literal["lockstep", "real"]
LOOPBACK = "127.0.0.1"
SILENCE = 5
"""Control periods without a command after which the robot damps itself (real clock)."""
PUBLISHED = 4
"""States a control period (real clock); one in lockstep."""
CATCH_UP = 100
"""Published periods that a late emulator simulates at once before it lets time go."""
WRITER_ALIVE = 1.0
"""Time after its last packet during which a writer keeps the robot for itself [s]."""


class Machine(Protocol):
    """What the protocol needs of a robot: `robots.backends.emulated.EmulatedRobot`."""

    spec: RobotSpec

    @property
    def time(self) -> float: ...
    def reset(self, note: Sequence[float]) -> None:
        """Stand again; ValueError for a `note` that it cannot read."""

    def command(self, command: RobotCommand, at: float) -> None: ...
    def damp(self) -> None: ...
    def advance(self, seconds: float) -> None: ...
    def sense(self, sequence: int) -> RobotState: ...
    def tip_over(self, angle: float) -> None: ...


class UdpEmulator:
    """Serves `machine` on a loopback port.

    Args:
        machine: The robot.
        clock: "lockstep" waits for the command that answers each state; "real" follows the wall clock.
        faults: What breaks, and when.
        bus_order: Joint names in the order of the bus; alphabetical by default, which no robot's canonical order is.
        port: 0 takes a free one.
    """

    def __init__(
        self,
        machine: Machine,
        clock: Clock = "lockstep",
        *,
        faults: Sequence[Fault] = (),
        bus_order: Sequence[str] | None = None,
        port: int = 0,
    ) -> None:
        self.machine, self.clock, self.faults = machine, clock, list(faults)
        spec = machine.spec
        self.control_period = 1.0 / spec.control_hz
        self.bus_names = tuple(bus_order or sorted(spec.joint_names))
        self._to_bus = np.array([spec.joint_names.index(name) for name in self.bus_names])
        self.dropped: Counter[str] = Counter()
        """Packets that were not obeyed, by reason."""
        self.sequence = 0
        """Of the newest state."""
        self.damped_at: int | None = None
        """Sequence at which the robot damped itself because commands stopped; None while it obeys."""
        self._writer: tuple[str, int] | None = None
        self._heard = self._commanded = self._opened = 0.0
        self._watching = self._running = False
        self._reset_number = self._answerable = self._obeyed = 0
        self._sent = b""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, port))
        self.address: tuple[str, int] = self._socket.getsockname()

    def serve(self, *, once: bool = False, idle_seconds: float = float("inf")) -> None:
        """Be the robot until `stop`, and with `once` until the first writer says goodbye.

        Raises:
            TimeoutError: nobody wrote for `idle_seconds`.
        """
        self._running, self._once, self._idle_seconds = True, once, idle_seconds
        self._heard = time.monotonic()
        try:
            if self.clock == "lockstep":
                self._serve_lockstep()
            else:
                self._serve_real()
        finally:
            self._socket.close()

    def stop(self) -> None:
        """Make `serve` return soon; callable from another thread."""
        self._running = False

    def inject(self, kind: FaultKind, ticks: int = FOREVER) -> None:
        """Break something from the next state on; callable from another thread."""
        self.faults.append(Fault(kind=kind, start=self.sequence + 1, ticks=ticks))

    def _serve_lockstep(self) -> None:
        while self._running:
            self._listen(0.1)

    def _serve_real(self) -> None:
        period = self.control_period / PUBLISHED
        deadline = time.monotonic()
        while self._running:
            self._opened, deadline = deadline, deadline + period
            while self._running and (left := deadline - time.monotonic()) > 0.0:
                self._listen(left)
            behind = int((time.monotonic() - deadline) / period)
            deadline += behind * period
            self.machine.advance((1 + min(behind, CATCH_UP)) * period)
            self._watch_writer()
            self._publish()

    def _watch_writer(self) -> None:
        if self._watching and time.monotonic() - self._commanded > SILENCE * self.control_period:
            self._damp()

    def _damp(self) -> None:
        self.machine.damp()
        self._watching = False
        self.damped_at = self.sequence

    def _arrival(self) -> float:
        """Now, on the robot's clock [s]: in real time its physics follows when the period is over."""
        elapsed = time.monotonic() - self._opened if self.clock == "real" else 0.0
        return self.machine.time + elapsed

    def _listen(self, timeout: float) -> None:
        """Handle the next packet, if one comes within `timeout` seconds."""
        self._socket.settimeout(timeout)
        try:
            data, sender = self._socket.recvfrom(packets.LARGEST)
            self._handle(packets.unpack(data), sender)
        except TimeoutError:
            if time.monotonic() - self._heard > self._idle_seconds:
                raise TimeoutError(
                    f"nobody wrote to the robot on port {self.address[1]} for {self._idle_seconds} s"
                ) from None
        except PacketError as error:
            self.dropped[str(error)] += 1
        except OSError:  # the peer's port is closed
            self.dropped["unreachable"] += 1

    def _handle(self, packet: Packet, sender: tuple[str, int]) -> None:
        alive = self._writer is not None and time.monotonic() - self._heard < WRITER_ALIVE
        if not self._accept(packet, sender, alive):
            return
        self._heard = time.monotonic()
        if packet.kind == Kind.HELLO:
            self._greet(sender, again=sender == self._writer and alive)
        elif packet.kind == Kind.COMMAND:
            self._obey(packet)
        elif packet.kind == Kind.RESET:
            self._reset(packet)
        elif packet.kind == Kind.BYE:
            self._damp()
            self._writer = None
            self._running = self._running and not self._once
        else:
            raise PacketError("kind")

    def _greet(self, sender: tuple[str, int], again: bool) -> None:
        """Welcome a writer, or repeat to it what it missed."""
        if not again:
            self._writer, self._reset_number, self._obeyed, self.damped_at = sender, 0, 0, None
        self._send(packets.pack_text(Kind.WELCOME, self._info()))
        self._show(again)

    def _accept(self, packet: Packet, sender: tuple[str, int], alive: bool) -> bool:
        """Whether `sender` may write: the one writer, or a new one that greets while there is none."""
        if sender == self._writer or (packet.kind == Kind.HELLO and not alive):
            return True
        self.dropped["stranger"] += 1
        if packet.kind == Kind.HELLO:
            text = f"this robot obeys {self._writer}; two writers would fight, stop that one first"
            self._socket.sendto(packets.pack_text(Kind.REFUSED, text), sender)
        return False

    def _info(self) -> RobotInfo:
        spec = self.machine.spec
        return RobotInfo(
            robot=spec.name,
            model_hash=spec.model_hash,
            joint_names=self.bus_names,
            control_period=self.control_period,
            clock=self.clock,
        )

    def _obey(self, packet: Packet) -> None:
        command = self._to_canonical(packets.unpack_command(packet, len(self._to_bus)))
        if not all(np.isfinite(values).all() for values in (command.joint_pos, command.kp, command.kd)):
            raise PacketError("non-finite")
        if command.sequence > self.sequence or (self.clock == "lockstep" and command.sequence != self._answerable):
            raise PacketError("sequence")
        if command.sequence < self._obeyed:
            raise PacketError("outdated")
        self._obeyed = command.sequence
        self._commanded, self._watching, self.damped_at = time.monotonic(), self.clock == "real", None
        self.machine.command(command, at=self._arrival())
        if self.clock == "lockstep":
            self.machine.advance(self.control_period)
            self._publish()

    def _to_canonical(self, bus: RobotCommand) -> RobotCommand:
        return replace(
            bus,
            joint_pos=_scatter(bus.joint_pos, self._to_bus),
            kp=_scatter(bus.kp, self._to_bus),
            kd=_scatter(bus.kd, self._to_bus),
        )

    def _reset(self, packet: Packet) -> None:
        note = packets.unpack_reset(packet)
        again = packet.sequence == self._reset_number  # the client missed the echo of what is done already
        if not again:
            try:
                self.machine.reset(note)
            except ValueError as error:  # the machine cannot read it
                raise PacketError("note") from error
            self._reset_number, self._watching, self.damped_at = packet.sequence, False, None
        self._send(packets.pack_reset(note, packet.sequence))
        self._show(again)

    def _show(self, again: bool) -> None:
        """In lockstep, send the next state to answer, or the same `again`; in real time states come by themselves."""
        if self.clock == "lockstep":
            if again:
                self._transmit(self._acting())
            else:
                self._publish()

    def _publish(self) -> None:
        self.sequence += 1
        faults = self._acting()
        if "tilt" in faults:
            self.machine.tip_over(1.2)
            self.faults = [fault for fault in self.faults if fault.kind != "tilt"]
        if "freeze" not in faults:
            self._answerable = self.sequence
            self._sent = packets.pack_state(self._on_bus(self._spoil(self.machine.sense(self.sequence), faults)))
        self._transmit(faults)

    def _acting(self) -> set[FaultKind]:
        return {fault.kind for fault in self.faults if fault.acts_on(self.sequence)}

    def _transmit(self, faults: set[FaultKind]) -> None:
        if "drop" not in faults:
            self._send(_damage(self._sent) if "crc" in faults else self._sent)

    def _spoil(self, state: RobotState, faults: set[FaultKind]) -> RobotState:
        joint = self.machine.spec.joints[0]
        if "nan" in faults:
            state.joint_pos[0] = np.nan
        if "range" in faults:
            state.joint_pos[0] = joint.position_limits[1] + 1.0
        if "speed" in faults:
            state.joint_vel[0] = 10.0 * joint.actuator.velocity_limit
        if "zero_imu" in faults:
            state.orientation[:] = 0.0
        return state

    def _on_bus(self, state: RobotState) -> RobotState:
        return replace(
            state,
            joint_pos=state.joint_pos[self._to_bus],
            joint_vel=state.joint_vel[self._to_bus],
            joint_torque=state.joint_torque[self._to_bus],
        )

    def _send(self, data: bytes) -> None:
        if self._writer is not None:
            self._socket.sendto(data, self._writer)


def _scatter(values: Array, indices: Array) -> Array:
    scattered = np.empty_like(values)
    scattered[indices] = values
    return scattered


def _damage(packet: bytes) -> bytes:
    """The packet with one bit of its payload flipped."""
    middle = len(packet) // 2
    return packet[:middle] + bytes([packet[middle] ^ 1]) + packet[middle + 1 :]


def main() -> None:
    """Put a robot on a loopback port."""
    import robots
    from robots.backends.emulated import EmulatedRobot, Imperfections
    from robots.model import build_model

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("robot", help="zoo name, menagerie:NAME, or a folder with robot.json")
    parser.add_argument("--clock", choices=("lockstep", "real"), default="real")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fault", type=Fault.parse, action="append", default=[], help="KIND@TICK or KIND@TICK+TICKS")
    arguments = parser.parse_args()
    spec = robots.get(arguments.robot)
    delay = max(joint.actuator.delay for joint in spec.joints)
    imperfections = Imperfections(delay=delay, noise=1.0)
    machine = EmulatedRobot(spec, build_model(spec, contacts="full"), imperfections, np.random.default_rng(0))
    emulator = UdpEmulator(machine, arguments.clock, faults=arguments.fault, port=arguments.port)
    print(f"port {emulator.address[1]}", flush=True)
    emulator.serve()


if __name__ == "__main__":
    main()
