"""The controls beside the picture: pause, step, reset, speed, what is shown, and a simulation's knobs."""

import threading
from typing import Any

from sim2real.view.simulation import Knob, Simulation

SPEEDS = (0.1, 4.0)
"""Slowest and fastest, times real time."""


class Panel:
    """Reads the controls and writes a few lines above them.

    Args:
        gui: Of a `viser.ViserServer`. Its callbacks come from other threads: they only set events here.
        simulation: Whose knobs are shown.
    """

    def __init__(self, gui: Any, simulation: Simulation) -> None:
        self._step, self._reset = threading.Event(), threading.Event()
        gui.configure_theme(show_logo=False, show_share_button=False)
        gui.add_markdown(f"**{simulation.title}**")
        self._status = gui.add_markdown("")
        self._paused = gui.add_checkbox("pause", False)
        gui.add_button("step").on_click(lambda _: self._step.set())
        gui.add_button("reset").on_click(lambda _: self._reset.set())
        self._speed = gui.add_slider("speed", *SPEEDS, 0.1, 1.0, hint="times real time")
        self._follow = gui.add_checkbox("follow", True, hint="keep the robot in the middle")
        self._contacts = gui.add_checkbox("contacts", False, hint="lines as long as L where a force carries the weight")
        self._knobs = {knob.label: _control(gui, knob) for knob in simulation.knobs}

    @property
    def paused(self) -> bool:
        return bool(self._paused.value)

    @property
    def speed(self) -> float:
        """Times real time."""
        return float(self._speed.value)

    @property
    def follow(self) -> bool:
        return bool(self._follow.value)

    @property
    def contacts(self) -> bool:
        return bool(self._contacts.value)

    @property
    def values(self) -> dict[str, float]:
        """What every knob is set to."""
        return {label: float(control.value) for label, control in self._knobs.items()}

    def take_step(self) -> bool:
        """Whether a single step was asked for since the last call."""
        return _take(self._step)

    def take_reset(self) -> bool:
        """Whether a reset was asked for since the last call."""
        return _take(self._reset)

    def tell(self, seconds: float, factor: float, restarts: int) -> None:
        """Show the simulated time [s], how many times real time it runs, and how often a world began anew."""
        self._status.content = f"time {seconds:.1f} s · {factor:.2f} × real time · {restarts} restarts"


def _take(event: threading.Event) -> bool:
    asked = event.is_set()
    event.clear()
    return asked


def _control(gui: Any, knob: Knob) -> Any:
    if knob.switch:
        return gui.add_checkbox(knob.label, bool(knob.value))
    step = (knob.high - knob.low) / 200.0
    return gui.add_slider(knob.label, knob.low, knob.high, step, knob.value)
