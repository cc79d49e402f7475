"""Runs a bundle through the episodes of a rehearsal, in a process that knows the robot only through its protocol.

    python -m sim2real.reality.driver < job.json

The last line of output is the runtime's report. Exit code 130 after an emergency stop.
"""

import ctypes
import json
import signal
import sys
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from policies.bundle import read
from robots.backends.udp import UdpRobot
from robots.records import decode
from sim2real.deploy.clock import Clock, LockstepClock, RealClock, real_time_priority, stolen_seconds
from sim2real.deploy.inference import load_policy
from sim2real.deploy.runtime import Runtime
from sim2real.reality.episodes import Episode

INTERRUPTED = 130
PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to drive, and how."""

    bundle: Path
    port: int
    clock: Literal["lockstep", "real"]
    soft_start: float
    """[s]."""
    episodes: tuple[Episode, ...]
    log: Path | None = None
    """Folder for the recording."""
    require_signature: bool = False
    """Run only what a trusted key has signed."""


def drive(job: Job) -> dict[str, Any]:
    """Run every episode; returns the runtime's report."""
    bundle = read(job.bundle, require_signature=job.require_signature)
    policy = load_policy(bundle)
    clock: Clock = LockstepClock() if job.clock == "lockstep" else RealClock(bundle.contract.control_period)
    with closing(UdpRobot(("127.0.0.1", job.port))) as robot:
        runtime = Runtime(
            bundle,
            policy,
            robot,
            clock,
            log=job.log,
            soft_start=job.soft_start,
            require_signature=job.require_signature,
        )
        stolen = stolen_seconds()
        try:
            granted = _play(job, runtime, robot)
        finally:
            report = runtime.close()  # the log of what happened until then
        stolen_ms = 1e3 * (stolen_seconds() - stolen)
        return {**report, "scheduler": granted, "stolen_ms": stolen_ms, "stopped_by": runtime.stop.pressed_by}


def _play(job: Job, runtime: Runtime, robot: UdpRobot) -> str:
    """Run the episodes until the end or an emergency stop; returns the priority that was granted."""
    with real_time_priority() if job.clock == "real" else nullcontext("not asked for") as granted:
        for episode in job.episodes:
            robot.reset(episode.note())
            margin = episode.settle - job.soft_start  # the referee's clock starts a little before ours
            runtime.run(episode.command, episode.seconds + max(0.0, margin))
            if runtime.stop.pressed_by:
                break
    return granted


def _stop_with_parent() -> None:
    """Be told to stop (SIGTERM, an emergency stop) when the process that started this one dies; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> None:
    """Read a job, do it, print the report."""
    _stop_with_parent()
    report = drive(decode(Job, json.load(sys.stdin)))
    print(json.dumps(report))
    sys.exit(INTERRUPTED if report["stopped_by"] else 0)


if __name__ == "__main__":
    main()
