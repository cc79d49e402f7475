"""The emergency stop: pressed by a signal, latched until the process ends."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class EmergencyStop:
    """Says who pressed it; the guards look at every tick."""

    def __init__(self) -> None:
        self.pressed_by = ""

    def press(self, who: str) -> None:
        """Stop the robot; the first one who presses is remembered."""
        self.pressed_by = self.pressed_by or who

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Press it on SIGINT and SIGTERM, where this is the process's main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.press(signal.Signals(number).name)
