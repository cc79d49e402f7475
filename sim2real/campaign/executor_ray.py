"""Run stages as Ray tasks: on a private cluster of this machine, or on one that runs already.

Stages leave their results in the store, so nothing depends on Ray's object store; Ray places them, and starts them
again when their process dies. Beside this module only `sim2real.train_ddp` imports Ray.
"""

import ctypes
import logging
import os
import secrets
import socket
import time
from pathlib import Path
from typing import Any

from sim2real.campaign.execute import run_stage
from sim2real.campaign.job import Job, Outcome
from sim2real.campaign.resources import Resources, host
from sim2real.campaign.store import Store
from sim2real.commands import workers

LOG = logging.getLogger(__name__)
CONNECT_SECONDS = 10.0
OBJECT_STORE = 80 * 2**20
"""Room for arguments and outcomes [bytes]; results go to the store."""


class RayExecutor:
    """See `runner.Executor`.

    Args:
        address: A running cluster; RAY_ADDRESS if None, and if that is not set a private local one.
    """

    name = "ray"

    def __init__(self, store: Store, address: str | None = None) -> None:
        self._store = store
        self._address = address or os.environ.get("RAY_ADDRESS") or "local"
        self._capacity = host() if self._address == "local" else None
        self._started = False
        self._jobs: dict[Any, Job] = {}
        self._submitted: dict[str, float] = {}
        self._timed_out: set[str] = set()
        self._owns_cluster = False

    def start(self) -> None:
        """Start or join the cluster; a start takes 5 to 10 s."""
        if self._started:
            return
        self._owns_cluster = connect(self._address)
        self._started = True
        import ray

        self._run = ray.remote(run_stage)
        self._run_fresh = ray.remote(max_calls=1)(run_stage)  # a process of its own gives its GPU memory back

    def capacity(self) -> Resources:
        """What the cluster has: a private one is known before it starts, another is joined to ask."""
        if self._capacity is not None:
            return self._capacity
        self.start()
        import ray

        have = ray.cluster_resources()
        return Resources(
            cpus=max(int(have.get("CPU", 0)), 1),
            gpus=float(int(have.get("GPU", 0))),
            memory_gb=have.get("memory", 0) / 1e9,
        )

    def has_room(self, running: list[Job], job: Job) -> bool:
        return self.capacity().fits([other.resources for other in (*running, job)])

    def submit(self, job: Job, lease: Path) -> None:
        task = self._run_fresh if job.resources.gpus else self._run
        reference = task.options(name=job.name, max_retries=job.retries, **_options(job)).remote(
            self._store, job, lease, self.name
        )
        self._jobs[reference] = job
        self._submitted[job.name] = time.monotonic()

    def wait(self, timeout: float) -> list[tuple[Job, Outcome]]:
        """The stages that ended within `timeout` [s]."""
        import ray

        self._cancel_late()
        ready, _ = ray.wait(list(self._jobs), num_returns=1, timeout=timeout)
        return [(self._jobs[reference], self._outcome(reference)) for reference in ready]

    def cancel(self, jobs: list[Job]) -> None:
        """Kill the processes of these stages."""
        import ray

        for reference, job in self._jobs.items():
            if job in jobs:
                ray.cancel(reference, force=True)

    def close(self) -> None:
        """Stop the cluster that `start` started, or leave the one that it joined."""
        if self._owns_cluster:
            import ray

            ray.shutdown()

    def _cancel_late(self) -> None:
        for job in self._jobs.values():
            late = job.timeout_s is not None and time.monotonic() - self._submitted[job.name] > job.timeout_s
            if late and job.name not in self._timed_out:
                self._timed_out.add(job.name)
                self.cancel([job])

    def _outcome(self, reference: Any) -> Outcome:
        import ray

        job = self._jobs.pop(reference)
        try:
            return ray.get(reference)
        except ray.exceptions.RayError as error:
            return Outcome(status="failed", error=self._explain(job, error), details=str(error))

    def _explain(self, job: Job, error: Exception) -> str:
        import ray

        if job.name in self._timed_out:
            return f"it took longer than its timeout_s of {job.timeout_s:g} s"
        if isinstance(error, (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError)):
            again = f", in each of {job.retries + 1} attempts" if job.retries else ""
            return f"its process died (killed, or out of memory){again}"
        return " ".join(f"{type(error).__name__}: {error}".split())


def connect(address: str) -> bool:
    """Start a cluster ("local") or join one, unless this process is part of one; returns whether it did either."""
    _check_reachable(address)
    set_environment(local=address == "local")
    import ray

    _mute_obituaries()
    if ray.is_initialized():
        return False
    ray.init(**_init_arguments(address))
    return True


def _options(job: Job) -> dict[str, Any]:
    """What Ray is to keep for a stage's own process."""
    if workers(job.command) > 1:
        return {"num_cpus": 0}  # the workers that it starts ask for theirs
    need = job.resources
    memory = {"memory": int(need.memory_gb * 1e9)} if need.memory_gb else {}
    return {"num_cpus": need.cpus, "num_gpus": need.gpus, **memory}


def _check_reachable(address: str) -> None:
    """Ray would try to reach a cluster that does not answer for minutes, in silence.

    Raises:
        ConnectionError: nobody listens at `[ray://]HOST:PORT`.
    """
    host_name, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host_name and port.isdecimal()):
        return  # "local", or "auto"
    try:
        socket.create_connection((host_name, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise ConnectionError(
            f"no Ray cluster answers at {address} ({error}); leave --address out for a local one"
        ) from error


def set_environment(local: bool) -> None:
    """What Ray reads when it is imported, and what its local workers inherit; the user's own settings stay."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # a stage without GPUs sees none
    for name, value in worker_environment().items():
        os.environ.setdefault(name, value)
    if local and not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(token_file())


def worker_environment() -> dict[str, str]:
    """Off-screen rendering where its library is found: MuJoCo does not import if it is asked for in vain."""
    try:
        ctypes.CDLL("libEGL.so.1")
    except OSError:
        return {}
    return {"MUJOCO_GL": "egl"}


def token_file() -> Path:
    """The secret that this user's local clusters ask for: Ray's servers listen on all interfaces."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    path = Path(state, "sim2real", "ray_token")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        os.replace(temporary, path)
    path.chmod(0o600)
    return path


def _mute_obituaries() -> None:
    """Keep Ray from printing a paragraph for each dead worker; progress says so in a line, and so does a failure."""
    import ray._private.worker as internals

    if hasattr(internals, "print_to_stdstream"):
        internals.print_to_stdstream = lambda data, *_, **__: LOG.info("%s", data)


def _init_arguments(address: str) -> dict[str, Any]:
    quiet = {"log_to_driver": False, "configure_logging": False}
    if address != "local":
        return {"address": address, "runtime_env": {"env_vars": worker_environment()}, **quiet}
    machine = host()
    return {
        "address": "local",
        "num_cpus": machine.cpus,
        "_memory": int(machine.memory_gb * 1e9),
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE,
        **quiet,
    }
