"""Rough ground: one height field of tiles, from flat to hard along x, another kind of obstacle along y.

Lengths in units of the robot's L, so that every robot meets the same ground. Each tile has a level platform in its
middle, where episodes begin. Harder tiles are reached by walking (curriculum after Rudin et al. 2021,
arXiv:2109.11978). Height fields are shared by all worlds: what differs is the tile a world starts on.
"""

from dataclasses import dataclass

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray

from robots.model import FLOOR

Heights = NDArray[np.float64]
KINDS = ("slope", "waves", "stairs", "rubble")
BASE = 1.0
"""Thickness of the ground below its lowest point, in units of L."""


@dataclass(frozen=True, kw_only=True)
class TerrainSpec:
    """A field of tiles."""

    levels: int = 6
    """Tiles along x; the first one is flat."""
    tile: float = 24.0
    """Side of a tile [L]."""
    platform: float = 4.0
    """Side of the level square in its middle [L]."""
    cell: float = 0.25
    """Spacing of the heights [L]."""
    border: float = 12.0
    """Flat ground around all tiles [L]."""
    slope: float = 0.4
    """Steepest slope [1]."""
    wave: float = 0.35
    """Highest wave, crest to trough [L]."""
    step: float = 0.35
    """Highest step of a staircase [L]; each is 1.5 L deep."""
    rubble: float = 0.25
    """Highest block [L]."""

    def __post_init__(self) -> None:
        if self.levels < 1:
            raise ValueError(f"levels must be >= 1, got {self.levels}")
        for name in ("tile", "platform", "cell", "border"):
            if getattr(self, name) <= 0.0:
                raise ValueError(f"{name} must be > 0 [L], got {getattr(self, name)}")
        if self.platform + 2.0 * self.cell > self.tile:
            raise ValueError(f"platform must fit into a tile of {self.tile} L, got {self.platform}")

    def tile_at(self, xy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(n,) level and (n,) kind, an index of `KINDS`, of the tiles below points, (n, 2) [L]; edges go on outside."""
        tiles = (xy / self.tile + xy.new_tensor([self.levels, len(KINDS)]) / 2.0).floor().long()
        return tiles[:, 0].clamp(0, self.levels - 1), tiles[:, 1].clamp(0, len(KINDS) - 1)


class Terrain:
    """The ground of `spec` for robots of hip height `length` [m]."""

    def __init__(self, spec: TerrainSpec, length: float, seed: int = 0) -> None:
        self.spec, self.length = spec, length
        self.cell = spec.cell * length
        rng = np.random.default_rng(seed)
        tiles = [[_tile(spec, kind, level, rng) for level in range(spec.levels)] for kind in KINDS]
        border = round(spec.border / spec.cell)
        self.heights: Heights = np.pad(np.block(tiles), border) * length
        """(rows along y, columns along x) [m]."""
        self.half = (np.array(self.heights.shape[::-1]) - 1) * self.cell / 2.0
        """Half extent along x and y [m]."""
        self._tensor = torch.from_numpy(self.heights)

    def add_to(self, editable: mujoco.MjSpec) -> None:
        """Put the ground where the flat floor would be, also in place of a file's own."""
        for geom in list(editable.worldbody.geoms):
            if geom.type in (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_HFIELD):
                editable.delete(geom)
        low, high = float(self.heights.min()), float(self.heights.max())
        rise = max(high - low, 1e-6)
        editable.add_hfield(
            name=FLOOR,
            nrow=self.heights.shape[0],
            ncol=self.heights.shape[1],
            size=[self.half[0], self.half[1], rise, BASE * self.length],
            userdata=((self.heights - low) / rise).flatten(),
        )
        editable.worldbody.add_geom(
            name=FLOOR,
            type=mujoco.mjtGeom.mjGEOM_HFIELD,
            hfieldname=FLOOR,
            pos=[0.0, 0.0, low],
            friction=[1.0, 0.005, 0.0001],
            condim=3,
            rgba=[0.9, 0.9, 0.9, 1.0],
        )

    def origin(self, level: torch.Tensor, kind: torch.Tensor) -> torch.Tensor:
        """(n, 3) middle of the tiles' platforms [m], for levels and kinds, (n,)."""
        side = self.spec.tile * self.length
        xy = torch.stack([level, kind], -1) * side + side / 2.0
        corner = torch.tensor([self.spec.levels * side, len(KINDS) * side], dtype=torch.float64, device=xy.device) / 2.0
        xy = xy.double() - corner
        return torch.cat([xy, self.height(xy)[:, None]], -1)

    def height(self, xy: torch.Tensor) -> torch.Tensor:
        """(...) height of the ground [m] at points, (..., 2), bilinear; outside the field its edge goes on."""
        self._tensor = heights = self._tensor.to(xy.device)
        half = torch.as_tensor(self.half, dtype=torch.float64, device=xy.device)
        place = (xy.double() + half) / self.cell
        column = place[..., 0].clamp(0.0, heights.shape[1] - 1.001)
        row = place[..., 1].clamp(0.0, heights.shape[0] - 1.001)
        x, y = column.floor().long(), row.floor().long()
        u, v = column - x, row - y
        near = heights[y, x] * (1.0 - u) + heights[y, x + 1] * u
        return near * (1.0 - v) + (heights[y + 1, x] * (1.0 - u) + heights[y + 1, x + 1] * u) * v

    def outside(self, xy: torch.Tensor) -> torch.Tensor:
        """True where a point, (..., 2), is beyond the ground or a hip height from its edge."""
        limit = torch.as_tensor(self.half - self.length, dtype=torch.float64, device=xy.device)
        return (xy.double().abs() > limit).any(-1)


def _tile(spec: TerrainSpec, kind: str, level: int, rng: np.random.Generator) -> Heights:
    """(cells, cells) heights [L]; 0 at the platform, and but for rubble at the rim."""
    cells = round(spec.tile / spec.cell)
    axis = (np.arange(cells) + 0.5) * spec.cell - spec.tile / 2.0
    x, y = np.meshgrid(axis, axis)
    away = np.maximum(np.abs(x), np.abs(y)) - spec.platform / 2.0  # from the platform's edge
    room = (spec.tile - spec.platform) / 2.0
    share = np.clip(away / room, 0.0, 1.0)
    ramp = np.minimum(share, 1.0 - share) * 2.0 * (share > 0.0)  # 0 at the platform and at the rim, 1 between
    hardness = level / max(1, spec.levels - 1)
    if kind == "slope":
        heights = ramp * room / 2.0 * spec.slope
    elif kind == "stairs":
        heights = np.floor(ramp * room / 2.0 / 1.5) * spec.step
    elif kind == "waves":
        heights = (
            spec.wave / 2.0 * np.sin(2.0 * np.pi * x / 4.0) * np.sin(2.0 * np.pi * y / 4.0) * np.minimum(1, 4 * ramp)
        )
    else:
        blocks = rng.uniform(0.0, spec.rubble, (-(-cells // 4),) * 2).repeat(4, 0).repeat(4, 1)[:cells, :cells]
        heights = blocks * (ramp > 0.0)
    return hardness * heights
