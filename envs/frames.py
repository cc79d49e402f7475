"""Vectors between the world, the base and the base's heading, over many worlds; quaternions are (w, x, y, z)."""

import torch


def to_yaw_frame(orientation: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """World vectors, (n, 3), in the frame that shares the base's heading and keeps z up."""
    w, x, y, z = orientation.unbind(-1)
    sine, cosine = 2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)
    norm = torch.sqrt(sine * sine + cosine * cosine).clamp(min=1e-9)
    sine, cosine = sine / norm, cosine / norm
    vx, vy, vz = vector.unbind(-1)
    return torch.stack([cosine * vx + sine * vy, cosine * vy - sine * vx, vz], -1)


def to_base_frame(orientation: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """World vectors, (n, 3), in the base frame."""
    w, axis = orientation[:, 0:1], -orientation[:, 1:4]
    twice = 2.0 * torch.cross(axis, vector, dim=-1)
    return vector + w * twice + torch.cross(axis, twice, dim=-1)
