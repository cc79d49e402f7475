"""What the command of a closed loop may depend on: the regressors of the inverse of its dynamics.

    r_j(t − delay) + b_j ṙ_j = Σ_p θ_pj φ_p(y, ẏ, …, y⁽ⁿ⁾)

The highest derivative enters linearly, so that the loop can be solved for it and simulated. Kinds, from few to many:

- own: each joint's derivatives 0..n and a constant: a joint that moves as if it were alone;
- coupled: those of all joints: several joints about a working point;
- friction: and Coulomb friction of the joint itself;
- planar: own, friction, and gravity and inertia of links in a vertical plane, under servos that stop at their targets
  where there is no load. Exact at any angle for one joint and for chains whose angles are 0 where links are in line:
  Lagrange's equations in absolute angles s_j = y_1 + … + y_j, link i feels
  Σ_k h_ik (cos(s_i − s_k) s̈_k + sin(s_i − s_k) ṡ_k²) + g_i sin s_i, and joint j all links from j on.

Units: angles [rad], commands in theirs [rad], or [N·m] of a torque.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Kind = Literal["own", "coupled", "friction", "planar"]
LADDER: tuple[Kind, ...] = ("own", "coupled", "friction", "planar")


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The regressors of a loop."""

    kind: Kind
    num_joints: int
    order: int
    """n, of the highest derivative."""
    speeds: tuple[float, ...]
    """(num_joints,) over which friction changes its sign [rad/s]."""

    @property
    def has_friction(self) -> bool:
        """Whether joints rub."""
        return self.kind in ("friction", "planar")

    @property
    def is_linear(self) -> bool:
        """Whether the loop is the same everywhere."""
        return self.kind != "planar"

    @cached_property
    def couplings(self) -> list[tuple[int, int, int]]:
        """(i, k, j): links i < k, whose inertias couple as the angle between them says, as joint j ≤ k feels it."""
        pairs = combinations(range(self.num_joints), 2) if self.kind == "planar" else ()
        return [(i, k, j) for i, k in pairs for j in range(k + 1)]

    @cached_property
    def names(self) -> list[str]:
        """Of the regressors, those with the highest derivative first; joints are counted from 1."""
        return [name for name, _ in self._columns]

    @cached_property
    def allowed(self) -> NDArray[np.bool_]:
        """(num_regressors, num_joints) which regressors the command of a joint may have."""
        return np.array([[joint in joints for joint in range(self.num_joints)] for _, joints in self._columns])

    @cached_property
    def known(self) -> Array:
        """(num_regressors, num_joints) coefficients that are known: a servo without load stops at its target."""
        targets = [name == f"y{joint + 1}" for name in self.names for joint in range(self.num_joints)]
        known = np.array(targets, dtype=np.float64).reshape(-1, self.num_joints)
        return known if self.kind == "planar" else 0.0 * known

    @cached_property
    def _columns(self) -> list[tuple[str, Sequence[int]]]:
        """Name of each regressor, and the joints that may have it."""
        every = range(self.num_joints)
        coupled = self.kind in ("coupled", "friction")
        columns: list[tuple[str, Sequence[int]]] = [
            (_derivative(f"y{j + 1}", self.order), [j] if self.kind == "own" else every) for j in every
        ]
        columns += [(f"coupling of links {i + 1} and {k + 1} at joint {j + 1}", [j]) for i, k, j in self.couplings]
        columns += [
            (_derivative(f"y{j + 1}", times), every if coupled else [j] if times or self.kind == "own" else [])
            for times in range(self.order)
            for j in every
        ]
        columns.append(("1", every))
        if self.has_friction:
            columns += [(f"sign(y{j + 1}')", [j]) for j in every]
        if self.kind == "planar":
            columns += [(f"{wave}(s{link + 1})", range(link + 1)) for wave in ("sin", "cos") for link in every]
        return columns

    @property
    def num_top(self) -> int:
        """Regressors with the highest derivative."""
        return self.num_joints + len(self.couplings)

    def weights(self, y: Array) -> Array:
        """(..., num_top, num_joints) by which the highest derivatives enter their regressors; y as they are."""
        weights = [np.broadcast_to(np.eye(self.num_joints), (*y.shape[:-1], self.num_joints, self.num_joints))]
        absolute = np.tri(self.num_joints)
        s = y @ absolute.T
        for i, k, j in self.couplings:
            cosine = np.cos(s[..., i] - s[..., k])[..., None, None]
            weights.append(cosine * (absolute[i] + (absolute[k] if i >= j else 0.0)))
        return np.concatenate(weights, axis=-2) if self.couplings else weights[0]

    def offsets(self, y: Sequence[Array] | Array) -> Array:
        """(..., num_top) what those regressors have besides: centrifugal torques. y holds derivatives 0..n-1."""
        offsets = np.zeros((*y[0].shape[:-1], self.num_top))
        absolute = np.tri(self.num_joints).T
        for column, (i, k, j) in enumerate(self.couplings, start=self.num_joints):
            s, ds = y[0] @ absolute, y[1] @ absolute
            sine = np.sin(s[..., k] - s[..., i])
            offsets[..., column] = sine * (ds[..., i] ** 2 - (ds[..., k] ** 2 if i >= j else 0.0))
        return offsets

    def rest(self, y: Sequence[Array] | Array) -> Array:
        """(..., num_rest) the regressors without the highest derivative; y holds derivatives 0..n-1."""
        columns = [*y[: self.order], np.ones_like(y[0][..., :1])]
        if self.has_friction:
            columns.append(np.tanh(y[1] / np.array(self.speeds)))
        if self.kind == "planar":
            s = y[0] @ np.tri(self.num_joints).T
            columns += [np.sin(s), np.cos(s)]
        return np.concatenate(columns, axis=-1)

    def regressors(self, y: Sequence[Array] | Array) -> Array:
        """(..., num_regressors) of derivatives 0..n, in the order of `names`."""
        top = (self.weights(y[0]) @ y[self.order][..., None])[..., 0]
        return np.concatenate([top + self.offsets(y), self.rest(y)], axis=-1)


def _derivative(name: str, times: int) -> str:
    return name + "'" * times
