"""Packets of the project's own robot protocol over loopback UDP.

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
joint_pos, kp, kd (count each); SI, in the robot's bus order, which WELCOME names.
"""

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np

from robots.records import encode
from robots.state import Array, RobotCommand, RobotState

MAGIC = b"S2RP"
VERSION = 1
HEADER = struct.Struct("<4sBBHQd")
CRC = struct.Struct("<I")
LARGEST = 65507  # bytes a UDP datagram carries over IPv4


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
