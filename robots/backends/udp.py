"""A robot behind the UDP protocol, as its controller sees it.

Joints are mapped by name from and to the order of the robot's bus. Packets that do not fit are dropped and counted,
never used.
"""

import select
import socket
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np

from robots.backends import udp_packets as packets
from robots.backends.udp_packets import Kind, Packet, PacketError, RobotInfo
from robots.records import decode
from robots.state import Array, RobotCommand, RobotState

RETRY_SECONDS = 0.2
"""Between two attempts to greet or to reset [s]."""


class UdpRobot:
    """A robot behind the protocol; a `robots.state.Backend`.

    Args:
        address: Host and port; the host is this machine.
        timeout: Time for the robot to answer a greeting or a reset [s].

    Raises:
        ConnectionError: nobody answered, or the robot obeys another writer.
    """

    def __init__(self, address: tuple[str, int], timeout: float = 3.0) -> None:
        self.address, self.timeout = address, timeout
        self.dropped: Counter[str] = Counter()
        """Packets that were not used, by reason."""
        self._resets = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect(address)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        try:
            self.info = self._greet()
        except BaseException:
            self._socket.close()
            raise
        self.joint_names = self.info.joint_names
        self._bus = np.arange(len(self.joint_names))

    def use_order(self, joint_names: tuple[str, ...]) -> None:
        """Report and obey joints in the order of `joint_names`, whatever the order of the bus.

        Raises:
            ValueError: the robot has other joints.
        """
        if sorted(joint_names) != sorted(self.info.joint_names):
            raise ValueError(f"joints must be those of the robot's bus, {self.info.joint_names}, got {joint_names}")
        self.joint_names = joint_names
        self._bus = np.array([self.info.joint_names.index(name) for name in joint_names])

    def receive(self, timeout: float) -> RobotState | None:
        """The newest state, or None when none came within `timeout` [s]."""
        deadline = time.monotonic() + timeout
        newest = None
        while (packet := self._next(0.0 if newest else deadline - time.monotonic())) is not None:
            newest = self._state(packet) or newest
        return newest

    def send(self, command: RobotCommand) -> None:
        """Hand a command to the robot."""
        bus = RobotCommand(
            sequence=command.sequence,
            joint_pos=self._to_bus(command.joint_pos),
            kp=self._to_bus(command.kp),
            kd=self._to_bus(command.kd),
        )
        self._send(packets.pack_command(bus))

    def reset(self, note: Sequence[float] = ()) -> None:
        """Ask an emulator to stand in its default pose again; states from before are discarded.

        Args:
            note: Numbers for whoever judges the robot.

        Raises:
            ConnectionError: the robot did not answer.
        """
        self._resets += 1  # tells a repeated question from a new one
        self._ask(packets.pack_reset(note, self._resets), Kind.RESET)

    def close(self) -> None:
        """Say goodbye and release the socket; the robot damps itself."""
        if self._socket.fileno() >= 0:
            self._send(packets.pack(Kind.BYE))
            self._socket.close()

    def _greet(self) -> RobotInfo:
        try:
            return decode(RobotInfo, packets.unpack_text(self._ask(packets.pack(Kind.HELLO), Kind.WELCOME)))
        except ValueError as error:
            raise ConnectionError(f"the robot at {self.address} introduced itself wrongly: {error}") from error

    def _ask(self, question: bytes, answer: Kind) -> Packet:
        """Repeat a question until it is answered; other packets meanwhile are stale."""
        deadline = time.monotonic() + self.timeout
        while (now := time.monotonic()) < deadline:
            self._send(question)
            while (packet := self._next(now + RETRY_SECONDS - time.monotonic())) is not None:
                if packet.kind == answer:
                    return packet
                if packet.kind == Kind.REFUSED:
                    raise ConnectionError(f"the robot at {self.address} refused: {packets.unpack_text(packet)}")
            time.sleep(max(0.0, now + RETRY_SECONDS - time.monotonic()))
        raise ConnectionError(
            f"no {answer.name} from {self.address[0]}:{self.address[1]} within {self.timeout} s; is the robot running?"
        )

    def _next(self, timeout: float) -> Packet | None:
        """The next valid packet within `timeout` [s]."""
        deadline = time.monotonic() + timeout
        while self._poll.poll(max(0.0, timeout) * 1000.0):
            try:
                return packets.unpack(self._socket.recv(packets.LARGEST))
            except PacketError as error:
                self.dropped[str(error)] += 1
            except OSError:  # nobody listens at that port (any more)
                self.dropped["unreachable"] += 1
                return None
            timeout = deadline - time.monotonic()
        return None

    def _state(self, packet: Packet) -> RobotState | None:
        if packet.kind != Kind.STATE:
            return None
        try:
            state = packets.unpack_state(packet, len(self._bus))
        except PacketError as error:
            self.dropped[str(error)] += 1
            return None
        joints = {name: getattr(state, name)[self._bus] for name in ("joint_pos", "joint_vel", "joint_torque")}
        return RobotState(
            sequence=state.sequence, time=state.time, orientation=state.orientation, gyro=state.gyro, **joints
        )

    def _to_bus(self, values: Array) -> Array:
        bus = np.empty(len(self._bus))
        bus[self._bus] = values
        return bus

    def _send(self, data: bytes) -> None:
        try:
            self._socket.send(data)
        except OSError:
            self.dropped["unreachable"] += 1
