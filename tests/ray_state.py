"""Where clusters of tests keep their token: one folder for all, since Ray reads a token once a process."""

import functools
import tempfile


@functools.cache
def state_home() -> tempfile.TemporaryDirectory:
    """The folder; it is gone when the process ends."""
    return tempfile.TemporaryDirectory(prefix="sim2real-state-")
