"""Statistics of a VecNormalize of Stable-Baselines3, read without running what is in its pickle.

Whatever a pickle names becomes a stand-in from here: records, arrays, numbers. Not even numpy's own classes are called,
since they can be told to take bytes for the addresses of objects.
"""

import math
import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from policies.export.numpy_policy import NORMALIZED_CLIP

REACH = 8.0
"""Raw observations up to this many times the clip of our normalizer pass it, where the policy had no normalizer."""
FIXED_COUNT = 1e12
"""Samples that imported statistics count for: the network belongs to them, so they hardly move."""


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What an observation went through: clip((x − mean)/std)."""

    mean: torch.Tensor
    std: torch.Tensor
    reach: float
    """Where it was clipped, over where our normalizer clips."""
    count: float
    """Samples behind it."""

    @staticmethod
    def none(width: int) -> "Statistics":
        """Of raw observations. `REACH` is a power of two: dividing by it changes no digit."""
        return Statistics(mean=torch.zeros(width), std=torch.ones(width), reach=REACH, count=FIXED_COUNT)


def statistics_file(path: Path) -> Path | None:
    """The VecNormalize pickle that belongs to a zip: NAME_vecnormalize.pkl, or the folder's only vecnormalize.pkl."""
    names = (f"{path.stem}_vecnormalize.pkl", f"{path.stem}.pkl", "vecnormalize.pkl", "vec_normalize.pkl")
    return next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)


def statistics(path: Path, width: int) -> Statistics:
    """What observations of `width` channels went through before the policy in the zip `path`.

    Raises:
        ValueError: there is a pickle beside it that is no VecNormalize of such observations.
    """
    file = statistics_file(path)
    normalize = _unpickled(file) if file else {}
    if not normalize.get("norm_obs"):
        return Statistics.none(width)
    try:
        running = normalize["obs_rms"]
        mean, variance = (_doubles(running[name]) for name in ("mean", "var"))
        count = _doubles(running["count"]).item()
        epsilon, clip = (_doubles(normalize[name]).item() for name in ("epsilon", "clip_obs"))
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{file} must hold a VecNormalize of flat observations ({error!r})") from error
    if mean.shape != (width,) or variance.shape != mean.shape:
        raise ValueError(f"{file} has statistics of shape {tuple(mean.shape)}, the policy reads {width} channels")
    std, reach = (variance + epsilon).sqrt(), clip / NORMALIZED_CLIP
    if not (mean.isfinite() & std.isfinite() & (std > 0.0)).all() or not (0.0 < reach < math.inf and count >= 0.0):
        raise ValueError(f"{file} must have finite means, deviations > 0, a finite clip > 0 and a count >= 0")
    # With another clip the statistics of our normalizer mean something else, and must stay.
    return Statistics(mean=mean, std=std, reach=reach, count=count if reach == 1.0 else FIXED_COUNT)


def _doubles(value: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(value.values if isinstance(value, _Array) else value, dtype=np.float64))


class _Dtype:
    """Stands in for `numpy.dtype`: which numbers, in which byte order."""

    def __init__(self, letters: Any = "", *_: Any) -> None:
        self.letters, self.order = letters, "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]

    def numbers(self, data: Any) -> np.ndarray:
        """Those that bytes stand for. An object's address, say, is none."""
        name = f"{self.order}{self.letters}"
        if not re.fullmatch(r"[<>=|][biuf][1248]", name):
            raise pickle.UnpicklingError(f"its arrays hold {name}")
        return np.frombuffer(data, name)


class _Array:
    """Stands in for an array, for its class and for numpy's `_reconstruct`."""

    values: np.ndarray = np.zeros(0)

    def __init__(self, *_: Any) -> None:
        """Its numbers follow."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, by_columns, data = state
        self.values = dtype.numbers(data).reshape(shape, order="F" if by_columns else "C")


class _Buffer(_Array):
    """Stands in for numpy's `_frombuffer`."""

    def __init__(self, data: Any, dtype: _Dtype, shape: Any, order: Any) -> None:
        self.values = dtype.numbers(data).reshape(shape, order=order)


class _Scalar(_Array):
    """Stands in for numpy's `scalar`."""

    def __init__(self, dtype: _Dtype, data: Any) -> None:
        self.values = dtype.numbers(data).reshape(())


class _Record(dict):
    """Stands in for an object of a package that is known: keeps its attributes, runs nothing."""

    def __init__(self, *_: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        self.update(state if isinstance(state, dict) else {"state": state})


class _Reader(pickle.Unpickler):
    """Reads a VecNormalize pickle: arrays, numbers and records. Whatever it names is one of the stand-ins above."""

    RECORDS = ("stable_baselines3.common.", "gymnasium.spaces.", "gym.spaces.", "numpy.random.")
    NUMPY: ClassVar[dict[str, type]] = {
        "dtype": _Dtype,
        "ndarray": _Array,
        "_reconstruct": _Array,
        "_frombuffer": _Buffer,
        "scalar": _Scalar,
    }
    MODULES = frozenset(
        {"numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric"}
    )

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith(self.RECORDS):
            return _Record
        if module in self.MODULES and name in self.NUMPY:
            return self.NUMPY[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _unpickled(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            found = _Reader(opened).load()
    except Exception as error:  # pickles fail in many ways
        raise ValueError(
            f"{file} is no VecNormalize that can be read safely ({error}); nothing was imported"
        ) from error
    if not isinstance(found, _Record) or "obs_rms" not in found:
        raise ValueError(f"{file} must hold a VecNormalize of flat observations; nothing was imported")
    return found
