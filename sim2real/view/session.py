"""A viewer that is open: a simulation that runs in real time, its picture in the browser and its controls."""

import io
import time
from contextlib import redirect_stdout
from typing import Any

from sim2real.report.story import PAINTS
from sim2real.view.pace import Pace
from sim2real.view.panel import Panel
from sim2real.view.scene import Scene
from sim2real.view.simulation import Simulation

FPS = 30.0
HOW_TO_GET = "pip install 'viser>=1.1', which the extra `view` of sim2real names too; a film by --video needs none"


class Session:
    """Serves pages until it is closed.

    Args:
        simulation: What is shown.
        host: Address to listen at.
        port: Port; the next free one if it is taken, any for 0.

    Raises:
        ModuleNotFoundError: viser is not installed.
    """

    def __init__(self, simulation: Simulation, host: str = "127.0.0.1", port: int = 8080) -> None:
        self.simulation, self.restarts = simulation, 0
        self.server = _server(host, port)
        self.scene = Scene(self.server, simulation, PAINTS[0])
        self.panel = Panel(self.server.gui, simulation)
        self.pace = Pace(simulation.dt, time.perf_counter())

    @property
    def url(self) -> str:
        host = self.server.get_host()
        return f"http://{'localhost' if host == '0.0.0.0' else host}:{self.server.get_port()}"

    def run(self, seconds: float | None = None) -> None:
        """Simulate and show for so long [s], or until Ctrl-C."""
        start = time.perf_counter()
        while seconds is None or time.perf_counter() - start < seconds:
            begun = time.perf_counter()
            self.tick(begun)
            time.sleep(max(0.0, 1.0 / FPS - (time.perf_counter() - begun)))

    def tick(self, now: float) -> None:
        """Do what the controls say and what time asks for, then show it."""
        panel, simulation = self.panel, self.simulation
        if panel.take_reset():
            simulation.reset()
        self._advance(now)
        self.scene.follow, self.scene.show_contacts = panel.follow, panel.contacts
        self.scene.show(simulation.state())
        panel.tell(self.pace.simulated, self.pace.factor, self.restarts)

    def _advance(self, now: float) -> None:
        if self.panel.paused:
            self.pace.wait(now)
            steps = int(self.panel.take_step())
        else:
            steps = self.pace.due(now, self.panel.speed)
            self.panel.take_step()  # means nothing while time runs
        values = self.panel.values
        for _ in range(steps):
            self.restarts += int(self.simulation.step(values).sum())
        self.pace.took(steps, now)

    def close(self) -> None:
        with redirect_stdout(io.StringIO()):  # viser announces itself even when it is asked to be quiet
            self.server.stop()


def _server(host: str, port: int) -> Any:
    try:
        import viser
    except ModuleNotFoundError as error:
        if error.name != "viser":
            raise
        raise ModuleNotFoundError(f"the viewer needs the package viser: {HOW_TO_GET}", name="viser") from error
    with redirect_stdout(io.StringIO()):
        return viser.ViserServer(host=host, port=port, label="sim2real", verbose=False)
