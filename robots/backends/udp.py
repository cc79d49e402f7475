"""The project's own robot protocol over loopback UDP: packets and client.

A packet is a little-endian header, a payload, and the CRC-32 of all bytes before it:

    0   char[4]   magic "S2RP"
    4   uint8     version
    5   uint8     kind
    6   uint16    count: joints of STATE and COMMAND, numbers of RESET, bytes of HELLO, WELCOME and REFUSED
    8   uint64    sequence of the robot's state; a command carries that of the state it answers
    16  float64   clock of the robot [s]
    24  payload
    end uint32    CRC-32 (zlib)

STATE is float64 joint_pos, joint_vel, joint_torque (count each), orientation (4), gyro (3); COMMAND is float64
joint_pos, kp, kd (count each); SI, in the robot's bus order. WELCOME names the joints of the bus, and the client maps
them by name. What does not fit is dropped and counted, never used.
"""

import json
import select
import socket
import struct
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np

from robots.records import decode, encode
from robots.state import Array, RobotCommand, RobotState

MAGIC = b"S2RP"
VERSION = 1
HEADER = struct.Struct("<4sBBHQd")
CRC = struct.Struct("<I")
LARGEST = 65507  # bytes a UDP datagram carries over IPv4
RETRY_SECONDS = 0.2  # between two attempts to greet or to reset


class Kind(IntEnum):
    """What a packet says."""

    HELLO = 1
    """Client: who are you? From here on it is the only writer."""
    WELCOME = 2
    """Robot: a `RobotInfo` as JSON."""
    REFUSED = 3
    """Robot: why not, as JSON text."""
    STATE = 4
    COMMAND = 5
    RESET = 6
    """Client to an emulator: stand in the default pose again; numbers go with it. The robot echoes it when done."""
    BYE = 7
    """Client: done; the robot damps itself."""


class PacketError(ValueError):
    """Bytes that are no valid packet; the message is the reason they are counted under."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet whose frame was checked."""

    kind: Kind
    count: int
    sequence: int
    time: float
    payload: bytes


@dataclass(frozen=True, kw_only=True)
class RobotInfo:
    """Who the robot says it is."""

    robot: str
    model_hash: str
    joint_names: tuple[str, ...]
    """In the order of its bus."""
    control_period: float
    """[s]."""
    clock: Literal["lockstep", "real"]
    """Whether it waits for the command that answers its state."""


def pack(kind: Kind, *, count: int = 0, sequence: int = 0, time: float = 0.0, payload: bytes = b"") -> bytes:
    """The bytes of a packet."""
    body = HEADER.pack(MAGIC, VERSION, kind, count, sequence, time) + payload
    return body + CRC.pack(zlib.crc32(body))


def unpack(data: bytes) -> Packet:
    """The packet in `data`.

    Raises:
        PacketError: wrong size, magic, version, CRC or kind.
    """
    if len(data) < HEADER.size + CRC.size:
        raise PacketError("size")
    magic, version, kind, count, sequence, clock = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise PacketError("magic")
    if version != VERSION:
        raise PacketError("version")
    if CRC.unpack_from(data, len(data) - CRC.size)[0] != zlib.crc32(data[: -CRC.size]):
        raise PacketError("crc")
    try:
        return Packet(Kind(kind), count, sequence, clock, data[HEADER.size : -CRC.size])
    except ValueError:
        raise PacketError("kind") from None


def pack_state(state: RobotState) -> bytes:
    """A state whose joints are in bus order."""
    arrays = (state.joint_pos, state.joint_vel, state.joint_torque, state.orientation, state.gyro)
    payload = np.concatenate(arrays).astype("<f8").tobytes()
    return pack(Kind.STATE, count=len(state.joint_pos), sequence=state.sequence, time=state.time, payload=payload)


def unpack_state(packet: Packet, num_joints: int) -> RobotState:
    """The state in a packet, joints in bus order."""
    values, n = _numbers(packet, num_joints, 3 * num_joints + 7), num_joints
    return RobotState(
        sequence=packet.sequence,
        time=packet.time,
        joint_pos=values[:n],
        joint_vel=values[n : 2 * n],
        joint_torque=values[2 * n : 3 * n],
        orientation=values[3 * n : 3 * n + 4],
        gyro=values[3 * n + 4 :],
    )


def pack_command(command: RobotCommand) -> bytes:
    """A command whose joints are in bus order."""
    payload = np.concatenate((command.joint_pos, command.kp, command.kd)).astype("<f8").tobytes()
    return pack(Kind.COMMAND, count=len(command.joint_pos), sequence=command.sequence, payload=payload)


def unpack_command(packet: Packet, num_joints: int) -> RobotCommand:
    """The command in a packet, joints in bus order."""
    values, n = _numbers(packet, num_joints, 3 * num_joints), num_joints
    return RobotCommand(sequence=packet.sequence, joint_pos=values[:n], kp=values[n : 2 * n], kd=values[2 * n :])


def pack_reset(note: Sequence[float], sequence: int) -> bytes:
    """The client's reset number `sequence`, with numbers for whoever judges the robot."""
    return pack(Kind.RESET, count=len(note), sequence=sequence, payload=np.asarray(note, dtype="<f8").tobytes())


def unpack_reset(packet: Packet) -> tuple[float, ...]:
    """The numbers that came with a reset."""
    return tuple(float(number) for number in _numbers(packet, packet.count, packet.count))


def pack_text(kind: Kind, data: object) -> bytes:
    """JSON data in a packet of `kind`."""
    payload = json.dumps(encode(data)).encode()
    return pack(kind, count=len(payload), payload=payload)


def unpack_text(packet: Packet) -> object:
    """The JSON data in a packet."""
    return json.loads(packet.payload)


def _numbers(packet: Packet, count: int, width: int) -> Array:
    if packet.count != count or len(packet.payload) != 8 * width:
        raise PacketError("count")
    return np.frombuffer(packet.payload, dtype="<f8").astype(np.float64)


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
        self._send(pack_command(bus))

    def reset(self, note: Sequence[float] = ()) -> None:
        """Ask an emulator to stand in its default pose again; states from before are discarded.

        Args:
            note: Numbers for whoever judges the robot.

        Raises:
            ConnectionError: the robot did not answer.
        """
        self._resets += 1  # tells a repeated question from a new one
        self._ask(pack_reset(note, self._resets), Kind.RESET)

    def close(self) -> None:
        """Say goodbye and release the socket; the robot damps itself."""
        if self._socket.fileno() >= 0:
            self._send(pack(Kind.BYE))
            self._socket.close()

    def _greet(self) -> RobotInfo:
        try:
            return decode(RobotInfo, unpack_text(self._ask(pack(Kind.HELLO), Kind.WELCOME)))
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
                    raise ConnectionError(f"the robot at {self.address} refused: {unpack_text(packet)}")
            time.sleep(max(0.0, now + RETRY_SECONDS - time.monotonic()))
        raise ConnectionError(
            f"no {answer.name} from {self.address[0]}:{self.address[1]} within {self.timeout} s; is the robot running?"
        )

    def _next(self, timeout: float) -> Packet | None:
        """The next valid packet within `timeout` [s]."""
        deadline = time.monotonic() + timeout
        while self._poll.poll(max(0.0, timeout) * 1000.0):
            try:
                return unpack(self._socket.recv(LARGEST))
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
            state = unpack_state(packet, len(self._bus))
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
