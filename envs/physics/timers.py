"""MuJoCo's profiling clocks, switched off: they take a fifth of the time of a small model's step.

MuJoCo's Python package installs a clock (`mjcb_time`) that every stage of every step reads twice, to fill
`MjData.timer`, and its own setter cannot take it out again. Results do not depend on it. It is one per process, so
`MjData.timer` stays at zero in a process that has made worlds.
"""

import ctypes
import functools
import logging
from pathlib import Path

import mujoco

log = logging.getLogger(__name__)
LIBRARIES = ("libmujoco.so*", "libmujoco*.dylib", "mujoco.dll")


@functools.cache
def switch_off_timers() -> bool:
    """Take the clock out, once in a process; False where the library cannot be found, which only costs time."""
    folder = Path(mujoco.__file__).parent
    found = [file for pattern in LIBRARIES for file in folder.glob(pattern)]
    try:
        ctypes.c_void_p.in_dll(ctypes.CDLL(str(found[0])), "mjcb_time").value = None
    except (IndexError, OSError, ValueError) as error:
        log.info("MuJoCo's profiling clocks stay on: no mjcb_time in %s (%s)", folder, error)
        return False
    return True
