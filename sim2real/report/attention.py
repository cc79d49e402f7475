"""What each joint of a robot attends to: a map of joints and senses, and the robot's joints where they are.

Drawn from one entry of the `attention` of a `family` result, in the colours of the page or of a picture of its own.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sim2real.report import canvas
from sim2real.report.canvas import GRID, INK, MUTED, PRINTED
from sim2real.report.cells import Cells, Ink
from sim2real.report.html import Html

Array = NDArray[np.float64]
ROW, HEAD, BODIES, LEFT = 0.25, 0.62, 2.1, 1.75
"""Heights of a joint, of the names of the senses and of the robots below; room for the joints' names [inch]."""
COLOURS = "YlOrRd"
AZIMUTH, ELEVATION = np.deg2rad(40.0), np.deg2rad(26.0)
"""From where robots are looked at: from the front left, above."""
WORDS = {
    "joint_pos": "angle",
    "joint_vel": "rate",
    "previous_target": "target",
    "previous_torque": "torque",
    "joint_pull": "pull",
    "hidden_parameters": "hidden\nphysics",
}
"""Terms -> what a narrow column calls them."""
CROWD = 14
"""Joints from which on they are drawn smaller."""
PANELS = 4
"""Robots that are drawn: one for the whole policy, the others for the joints of one limb."""


def save_picture(told: dict[str, Any], path: Path) -> None:
    """Write one robot's attention as a picture (.png)."""
    with canvas.figure(_height(told), PRINTED) as figure:
        _draw(figure, told, PRINTED.__getitem__)
        canvas.png(figure, path)


def plot(told: dict[str, Any]) -> Html:
    """The same for the page."""
    with canvas.figure(_height(told)) as figure:
        _draw(figure, told, lambda colour: colour)
        return canvas.svg(figure, f"attention {told['robot']}")


def _height(told: dict[str, Any]) -> float:
    return HEAD + ROW * len(told["joints"]) + 0.2 + BODIES


def shares(table: Sequence[Sequence[float]]) -> Array:
    """Rows as shares of their sum; a row of zeros stays so."""
    values = np.array(table, dtype=float)
    return values / np.maximum(values.sum(1, keepdims=True), 1e-12)


def _draw(figure: Figure, told: dict[str, Any], ink: Ink) -> None:
    height, width, count = figure.get_figheight(), canvas.WIDTH, len(told["joints"])
    place = (LEFT / width, (BODIES + 0.2) / height, 1.0 - (LEFT + 0.1) / width, ROW * count / height)
    _draw_map(figure.add_axes(place), told, ink)
    chosen = [None, *_limb(told)]
    side = (width - 0.1) / PANELS
    for panel, joint in enumerate(chosen):
        axes = figure.add_axes(
            ((0.05 + panel * side) / width, 0.05 / height, (side - 0.1) / width, (BODIES - 0.1) / height)
        )
        _draw_body(axes, told, joint, ink)


def _draw_map(axes: Axes, told: dict[str, Any], ink: Ink) -> None:
    """Joints below each other, senses side by side, in each cell the share of what moves the joint."""
    table = shares(told["by_sense"])
    most = max(float(table.max()), 1e-12)
    cells = Cells(axes, table.shape[0], table.shape[1], COLOURS)
    for (row, column), share in np.ndenumerate(table):
        cells.fill(row, column, share / most)
        cells.write(row, column, f"{100.0 * share:.0f}", share / most, size=8.0)
    axes.set_yticks(range(table.shape[0]), told["joints"], fontsize=8.5, color=ink(INK))
    axes.set_xticks(range(table.shape[1]), list(map(_sense, told["senses"])), fontsize=8, color=ink(MUTED))


def _sense(name: str) -> str:
    """A sense in lines that a column has room for."""
    *whose, term = name.split(" ")
    return "\n".join([*whose, WORDS.get(term, term.replace("_", "\n"))])


def _limb(told: dict[str, Any]) -> list[int]:
    """Joints whose own attention is drawn: the first, the middle and the last of the first limb."""
    limbs = [limb["joints"] for limb in told["skeleton"]["limbs"] if limb["joints"]]
    chain = limbs[0] if limbs else range(len(told["joints"]))
    return list(dict.fromkeys([chain[0], chain[len(chain) // 2], chain[-1]]))


def _draw_body(axes: Axes, told: dict[str, Any], joint: int | None, ink: Ink) -> None:
    """The robot's limbs; the larger and darker a joint, the more its sensors move `joint`, or all joints together."""
    table = np.array(told["by_joint"], dtype=float)
    heard = table.sum(0) if joint is None else table[joint]
    heard = heard / max(float(heard.max()), 1e-12)
    anchors = _draw_bones(axes, told["skeleton"], ink)
    order = np.argsort(heard)
    colours = [mpl.colors.to_hex(mpl.colormaps[COLOURS](0.08 + 0.92 * share)) for share in heard[order]]
    right, up = anchors[order].T
    sizes = (22.0 + 150.0 * heard[order]) * min(1.0, CROWD / len(anchors))
    axes.scatter(right, up, s=sizes, c=colours, edgecolors=ink(INK), linewidths=0.7, zorder=3)
    if joint is not None:
        ring: dict[str, Any] = {"s": 330.0, "facecolors": "none", "edgecolors": ink(INK), "linewidths": 1.6}
        axes.scatter(anchors[joint, :1], anchors[joint, 1:], zorder=4, **ring)
    title = "all joints listen to" if joint is None else f"{told['joints'][joint]} listens to"
    axes.set_title(title, fontsize=9, fontweight="bold", color=ink(INK), pad=2)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.08)
    axes.axis("off")


def _draw_bones(axes: Axes, skeleton: dict[str, Any], ink: Ink) -> Array:
    """Lines from joint to joint and to the tips of limbs; gives the places of the joints, (num_joints, 2)."""
    anchors, limbs = seen(np.array(skeleton["anchors"])), [limb for limb in skeleton["limbs"] if limb["joints"]]
    bones = [anchors[[joint, parent]] for joint, parent in enumerate(skeleton["parents"]) if parent >= 0]
    bones += [np.vstack([anchors[limb["joints"][-1]], seen(np.array([limb["tip"]]))]) for limb in limbs]
    for bone in bones:
        axes.plot(*bone.T, color=ink(MUTED), linewidth=2.2, alpha=0.55, zorder=1, solid_capstyle="round")
    _draw_trunk(axes, anchors[[limb["joints"][0] for limb in limbs]], ink)
    return anchors


def _draw_trunk(axes: Axes, roots: Array, ink: Ink) -> None:
    """What the limbs hang on, and where its front is; legs come in pairs, left before right."""
    if len(roots) < 2:
        return
    ring = np.vstack([roots[0::2], roots[1::2][::-1], roots[:1]])
    axes.fill(*ring.T, color=ink(GRID), alpha=0.9, zorder=0)
    axes.plot(*ring.T, color=ink(MUTED), linewidth=2.2, alpha=0.55, zorder=1)
    middle, ahead = roots.mean(0), seen(np.array([[0.55, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    arrow: dict[str, Any] = {"arrowstyle": "-|>", "color": ink(MUTED), "linewidth": 1.4}
    axes.annotate("", middle + ahead[0] - ahead[1], middle, arrowprops=arrow, zorder=2)


def seen(points: Array) -> Array:
    """(n, 2) of (n, 3) points, as an eye far away sees them: right, up."""
    x, y, z = points.T
    near = x * np.cos(AZIMUTH) + y * np.sin(AZIMUTH)
    right = y * np.cos(AZIMUTH) - x * np.sin(AZIMUTH)
    return np.stack([right, z * np.cos(ELEVATION) - near * np.sin(ELEVATION)], -1)
