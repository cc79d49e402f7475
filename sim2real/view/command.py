"""The command `view`: a page in the browser, or a film."""

from pathlib import Path
from typing import Any

from sim2real.campaign.keys import checked
from sim2real.campaign.store import Store
from sim2real.commands import View
from sim2real.view.target import Target, find


def view(command: View, store: Store, announce: bool = False) -> dict[str, Any]:
    """Show what `command` names, until its time is over or Ctrl-C; see `sim2real.commands.View`."""
    command = checked(command)
    target = find(command.target, store)
    return _film(command, command.video, target) if command.video else _serve(command, target, announce)


def _film(command: View, video: str, target: Target) -> dict[str, Any]:
    from sim2real.report.encoder import check_suffix
    from sim2real.view.film import Job
    from sim2real.view.video import shoot

    path = Path(video).absolute()
    check_suffix(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"--video {video}: there is no folder {path.parent}")
    job = Job(
        robot=target.robot,
        skill=target.skill,
        task=command.task,
        worlds=command.worlds,
        randomization=command.randomization,
        seconds=command.seconds,
        out=str(path),
    )
    return {"video": video, **shoot(job)}


def _serve(command: View, target: Target, announce: bool) -> dict[str, Any]:
    from sim2real.view.session import Session
    from sim2real.view.stage import simulate

    simulation = simulate(target, command.task, command.worlds, command.randomization)
    session = Session(simulation, command.host, command.port)
    if announce:
        print(f"{simulation.title} at {session.url} (Ctrl-C ends it)", flush=True)
    try:
        session.run(command.seconds)
    except KeyboardInterrupt:  # how a viewer is closed
        pass
    finally:
        session.close()
    return {"url": session.url, "seconds": session.pace.simulated, "restarts": session.restarts}
