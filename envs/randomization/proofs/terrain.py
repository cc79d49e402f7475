"""Proof that rough ground is where the environment believes it is, and that worlds start on tiles of their own.

The compiled height field is compared with the heights that rewards and falls are measured against; every world restarts
on every level, and its feet must stand on the platform of a tile of that level.
"""

import mujoco
import numpy as np
import torch

from envs.embodiments.legged import Legged
from envs.randomization.proofs.finding import Finding, Problem, short
from envs.terrain import KINDS, Terrain
from envs.vector_env import VectorEnv

TOLERANCE = 1e-5
"""Of a height, in units of the field's rise: it is stored in float32."""
CLEARANCE = 0.05
"""Farthest that a foot may be from the ground when an episode begins [L]."""


def prove_terrain(worlds: VectorEnv) -> list[Finding]:
    """The finding about rough ground; none where the ground is flat."""
    terrain = worlds.body.terrain if isinstance(worlds.body, Legged) else None
    if terrain is None:
        return []
    problems, places = _compiled(worlds, terrain), []
    for level in range(terrain.spec.levels):
        problems += _starts(worlds, terrain, level)
        places.append(worlds.episode.origin[:, :2].clone())
    tiles = torch.cat(places).unique(dim=0)
    return [
        Finding(
            term="terrain",
            kind="model",
            claims="hfield_data, start tile of each world",
            found=f"{len(tiles)} tiles of {terrain.spec.levels * len(KINDS)} started on, feet on the ground",
            effect=f"{float(np.ptp(terrain.heights)):.2g} m from the lowest to the highest point",
            status="FAILED" if problems else "proved",
            problems=tuple(problems[:1]),
        )
    ]


def _compiled(worlds: VectorEnv, terrain: Terrain) -> list[Problem]:
    """Where the engine's ground is not that of the environment."""
    model = worlds.physics.model
    geom = int(np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_HFIELD)[0])
    field = int(model.geom_dataid[geom])
    rise, shape = model.hfield_size[field, 2], (int(model.hfield_nrow[field]), int(model.hfield_ncol[field]))
    found = model.hfield_data.reshape(-1)[: shape[0] * shape[1]].reshape(shape) * rise + model.geom_pos[geom, 2]
    wrong = np.abs(found - terrain.heights) > TOLERANCE * rise + 1e-9
    if not wrong.any():
        return []
    return [_problem("not the ground that heights are measured from", terrain.heights[wrong], found[wrong])]


def _starts(worlds: VectorEnv, terrain: Terrain, level: int) -> list[Problem]:
    """Where worlds of a level do not stand on the ground of a tile of that level."""
    episode, everyone = worlds.episode, torch.arange(worlds.num_envs, device=worlds.device)
    episode.steps[:] = 0  # no promotion
    episode.level[:] = level
    worlds._restart(everyone)
    feet = worlds.world(episode.action).foot_heights.abs().max() / worlds.space.length  # type: ignore[attr-defined]
    if feet > CLEARANCE:
        return [_problem(f"feet off the ground at the start of level {level}", f"within {CLEARANCE} L", float(feet))]
    kinds = torch.arange(len(KINDS), device=worlds.device)
    tiles = terrain.origin(torch.full_like(kinds, level), kinds)[:, :2]
    away = (worlds.physics.qpos[:, None, :2] - tiles).abs().amax(-1).amin(-1)
    if away.max() > terrain.spec.platform / 2.0 * terrain.length:
        return [_problem(f"start outside the platforms of level {level}", "on a platform", away.max().item())]
    return []


def _problem(fault: str, expected: object, found: object) -> Problem:
    return Problem(
        term="terrain",
        fault=fault,
        field="hfield_data" if "measured" in fault else "qpos",
        expected=expected if isinstance(expected, str) else short(expected),
        found=short(found),
        remedy="add the ground with Terrain.add_to and start episodes at Terrain.origin",
    )
