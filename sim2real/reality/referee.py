"""The velocity score of a robot that walks, from ground truth, and a meter of what the trial cost.

Per tick exp(−‖v_cmd − v‖²/(0.038·g·L)) in the base's yaw frame, 0 from a fall on and for time that was not played.
"""

import math
from typing import Any

import numpy as np

from envs.observations import projected_gravity
from envs.velocity_score import has_fallen, velocity_score, yaw_score
from robots.spec import RobotSpec
from robots.state import Array
from sim2real.reality.episodes import Episode

GRAVITY = 9.81


class Referee:
    """Judges one episode after the other."""

    def __init__(self, spec: RobotSpec) -> None:
        self.spec = spec
        self.episodes: list[dict[str, Any]] = []
        """What was judged so far."""
        self.seconds_real = 0.0
        """Time the robot spent in trials, soft starts included [s]."""
        self._episode: Episode | None = None

    def begin(self, episode: Episode) -> None:
        """A new episode starts; the one before is over."""
        self.finish()
        self._episode, self._elapsed, self._played, self._score, self._yaw_score = episode, 0.0, 0.0, 0.0, 0.0
        self._fell = False

    def watch(
        self, dt: float, *, velocity: Array, gyro: Array, orientation: Array, height: float, broken: bool
    ) -> None:
        """Judge the `dt` [s] that just passed, by where they ended.

        Args:
            dt: Time since the last look [s].
            velocity: Of the base in the world [m/s].
            gyro: Of the base in its own frame [rad/s].
            orientation: Base to world (w, x, y, z).
            height: Of the base [m].
            broken: Whether the simulation broke down.
        """
        episode = self._episode
        if episode is None or self._elapsed > episode.settle + episode.seconds - 0.5 * dt:
            return
        self._elapsed += dt
        self.seconds_real += dt
        gravity = projected_gravity(np, orientation)
        self._fell = self._fell or broken or bool(has_fallen(gravity, height, default_height=self.spec.default_height))
        if self._elapsed > episode.settle + 0.5 * dt:
            self._played += dt
            if not self._fell:
                self._add(dt, episode, _in_yaw_frame(orientation, velocity), gyro)

    def finish(self) -> None:
        """The running episode, if any, is over."""
        episode = self._episode
        if episode is None:
            return
        unplayed = self._played < 0.99 * episode.seconds
        self.episodes.append(
            {
                "command": list(episode.command),
                "score": self._score / episode.seconds,
                "yaw_score": self._yaw_score / episode.seconds,
                "fell": self._fell or unplayed,
                "seconds": self._elapsed,
            }
        )
        self._episode = None

    def _add(self, dt: float, episode: Episode, velocity: Array, gyro: Array) -> None:
        speed, time = math.sqrt(GRAVITY * self.spec.length), math.sqrt(self.spec.length / GRAVITY)
        command = np.array(episode.command)
        self._score += dt * float(velocity_score(np, command, velocity, speed=speed))
        self._yaw_score += dt * float(yaw_score(np, command, gyro, time=time))


def _in_yaw_frame(orientation: Array, vector: Array) -> Array:
    """(2,) horizontal part of a world vector in the frame that shares the base's heading."""
    w, x, y, z = orientation
    heading = math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    cosine, sine = math.cos(heading), math.sin(heading)
    return np.array([cosine * vector[0] + sine * vector[1], cosine * vector[1] - sine * vector[0]])
