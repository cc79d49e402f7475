"""MuJoCo Warp: thousands of worlds side by side on an NVIDIA GPU.

It keeps to `envs.physics.interface.Physics` and differs from the CPU engine in this: single precision (positions agree
to 1e-6 over 20 steps in the same contacts; a contact that begins a step earlier parts them); not bit-reproducible on a
GPU, where contacts are found in any order; its solver stops at a tolerance of 1e-6; time counts modulo `TIME_PERIOD`,
since float32 cannot tell an actuator's delay from one a step longer after 8 s. State rows are those of
mjSTATE_INTEGRATION: rows that the CPU engine saved can be restored here, and back.

On Warp's own device "cpu" the same kernels run one world after the other, several times slower than the CPU engine:
there to test this file.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import mujoco
import mujoco_warp as mjw
import torch
import warp as wp

from envs.physics.rows import nominal_row
from envs.physics.warp_model import contact_room, row_room, time_stamps, with_own_back_emf

Names = tuple[str, ...]
STATE: Names = ("time", "qpos", "qvel", "act", "history", "qacc_warmstart", "ctrl", "qfrc_applied", "xfrc_applied")
STATE += ("eq_active", "mocap_pos", "mocap_quat", "userdata", "plastic")
"""What a state row holds, in the order of the bits of `mujoco.mjtState`."""

CONSTANTS: Names = ("body_subtreemass", "body_invweight0", "dof_invweight0", "actuator_acc0", "geom_aabb")
CONSTANTS += ("geom_rbound", "eq_data", "tendon_length0", "tendon_invweight0")
"""Model fields that `set_const` writes; the poses of cameras and lights, which it writes too, are left shared."""

POSITIONS: Names = ("xpos", "xquat", "xmat", "xipos", "ximat", "xanchor", "xaxis", "geom_xpos", "geom_xmat")
POSITIONS += ("site_xpos", "site_xmat", "subtree_com")
"""Outputs that `refresh` makes current."""

TIME_PERIOD = 2.0
"""After this long time and the time stamps in the delay buffers are set back together [s]; subtracting it is exact."""
LOST = mjw.OverflowType.ALL & ~(mjw.OverflowType.ITERATIONS | mjw.OverflowType.LS_ITERATIONS)
LOST &= ~mjw.OverflowType.EPA_HORIZON
"""Overflows that drop contacts or constraints; the others only end an iteration early, as the CPU engine does too."""

wp.config.log_level = wp.LOG_WARNING  # a line per compiled kernel otherwise


class GpuPhysics:
    """`num_worlds` worlds of `model` on a Warp device.

    Args:
        model: Compiled model with its nominal pose as keyframe.
        num_worlds: Number of worlds.
        device: "cuda", "cuda:1", ..., or "cpu" for Warp's own.
        max_contacts: Room for contacts per world, the mean over all worlds; 0 derives it from the model.

    Kernels are compiled at the first step, for half a minute, and kept in Warp's cache. Work is queued on torch's
    current stream.
    """

    def __init__(self, model: mujoco.MjModel, num_worlds: int, device: str = "cuda", *, max_contacts: int = 0) -> None:
        if num_worlds < 1:
            raise ValueError(f"num_worlds must be >= 1, got {num_worlds}; ask for as many worlds as a policy drives")
        if (model.sensor_history[:, 0] > 0).any():
            raise ValueError("sensors with a delay buffer are not supported on MuJoCo Warp; delay what is read instead")
        self.model, self.num_worlds = model, num_worlds
        self._place = wp.get_device(device)
        self.device = torch.device(wp.device_to_torch(self._place))
        self._graphs: dict[str, wp.Graph] = {}
        self._fields: dict[str, torch.Tensor] = {}
        self._outputs: dict[str, torch.Tensor] = {}
        with self._on_device():
            self._model = mjw.put_model(with_own_back_emf(model))
            self.max_contacts = max_contacts or contact_room(model, self._model.nxn_geom_pair_filtered.numpy())
            self.max_rows = row_room(model, self.max_contacts)
            self._data = mjw.make_data(model, num_worlds, nconmax=self.max_contacts, njmax=self.max_rows)
            self._scratch = mjw.make_data(model, num_worlds, nconmax=0, njmax=0)
        self._model.opt.warn_overflow = 0  # `step` reads and raises them
        self._model.opt.graph_conditional = self._place.is_cuda and wp.is_conditional_graph_supported()
        self._bind()
        everywhere = torch.arange(num_worlds, device=self.device)
        self.restore(everywhere, self._nominal.expand(num_worlds, -1))

    def _bind(self) -> None:
        """Views of what lives in Warp's arrays."""
        state = {name: wp.to_torch(getattr(self._data, name)) for name in STATE}
        self.qpos, self.qvel, self.ctrl = state["qpos"], state["qvel"], state["ctrl"]
        self.xfrc_applied = state["xfrc_applied"]
        self._state = [view.view(self.num_worlds, -1) for view in state.values() if view.numel()]
        self._time, self._history = state["time"], state["history"]
        self._stamps = torch.from_numpy(time_stamps(self.model)).to(self.device)
        self._overflow = wp.to_torch(self._data.overflow)
        self._nominal = torch.from_numpy(nominal_row(self.model)).to(self.device, torch.float32)

    def output(self, name: str) -> torch.Tensor:
        if name not in self._outputs:
            self._outputs[name] = _view(_array(self._data, name, "nworld"))
        return self._outputs[name]

    def model_field(self, name: str) -> torch.Tensor:
        if name not in self._fields:
            holder = self._model.opt if name.startswith("opt.") else self._model
            field = name.removeprefix("opt.")
            shared = _array(holder, field, "*")
            view = wp.to_torch(shared)
            worlds = view.repeat(self.num_worlds, *[1] * (view.ndim - 1)).contiguous()
            setattr(holder, field, wp.from_torch(worlds, dtype=shared.dtype))
            self._fields[name] = worlds
            self._graphs.clear()  # they read the shared array
        return self._fields[name]

    def set_const(self, worlds: torch.Tensor) -> None:
        """Of all worlds, which takes a GPU no longer: where no field has changed, neither do constants."""
        for name in CONSTANTS:
            if getattr(self._model, name).size:
                self.model_field(name)
        # in data of its own, so that outputs stay as the last step left them
        self._replay("set_const", lambda: mjw.set_const(self._model, self._scratch, restore=False))

    def step(self, num_substeps: int, hook: Callable[[], None] | None = None) -> torch.Tensor:
        """Advance every world; returns (num_worlds,) True where a world diverged and was put into its nominal pose.

        Raises:
            RuntimeError: contacts or constraints did not fit into the room made for them, and were dropped.
        """
        self._set_time_back()
        if hook is None:
            self._advance(num_substeps)
        else:
            for _ in range(num_substeps):
                hook()
                self._advance(1)
        state = torch.cat([self.qpos, self.qvel, self.ctrl], -1)
        diverged = ~(state.abs() < mujoco.mjMAXVAL).all(-1)  # NaN is not less than anything
        lost = self._overflow & int(LOST)
        any_diverged, any_lost = torch.stack([diverged.any(), lost.any()]).tolist()  # one wait for the device
        if any_lost:
            self._report(lost)
        if any_diverged:
            self._start_over(diverged.nonzero()[:, 0])
        return diverged

    def _advance(self, num_substeps: int) -> None:
        def launch() -> None:
            for _ in range(num_substeps):
                mjw.step(self._model, self._data)

        self._replay(f"step {num_substeps}", launch)

    def _start_over(self, worlds: torch.Tensor) -> None:
        """Into the nominal pose; outputs that do not follow from positions are zero until the next step."""
        self.restore(worlds, self._nominal.expand(len(worlds), -1))
        for output in self._outputs.values():
            output[worlds] = 0
        self.refresh(worlds)

    def _set_time_back(self) -> None:
        """By whole periods: a delay is the difference of two times, which float32 must resolve."""
        passed = TIME_PERIOD * torch.floor(self._time / TIME_PERIOD)
        self._time -= passed
        self._history[:, self._stamps] -= passed[:, None]

    def _report(self, lost: torch.Tensor) -> None:
        kinds = [kind.name for kind in mjw.OverflowType if kind in LOST and (lost & int(kind)).any()]
        worlds = int((lost != 0).sum())
        raise RuntimeError(
            f"{worlds} of {self.num_worlds} worlds dropped contacts or constraints ({', '.join(kinds)}). "
            f"There is room for {self.max_contacts} contacts a world on average and {self.max_rows} constraint rows; "
            f"make more with GpuPhysics(..., max_contacts={2 * self.max_contacts})"
        )

    def save(self, worlds: torch.Tensor | None = None) -> torch.Tensor:
        rows = torch.cat([view.float() for view in self._state], -1)
        return rows if worlds is None else rows[worlds]

    def restore(self, worlds: torch.Tensor, rows: torch.Tensor) -> None:
        parts = rows.to(self.device).split([view.shape[1] for view in self._state], -1)
        for view, part in zip(self._state, parts, strict=True):
            view[worlds] = part.to(view.dtype)

    def refresh(self, worlds: torch.Tensor) -> None:
        def launch() -> None:
            for name in ("qpos", "mocap_pos", "mocap_quat"):
                wp.copy(getattr(self._scratch, name), getattr(self._data, name))
            mjw.kinematics(self._model, self._scratch)
            mjw.com_pos(self._model, self._scratch)

        self._replay("refresh", launch)
        for name in POSITIONS:
            self.output(name)[worlds] = _view(getattr(self._scratch, name))[worlds]

    def _replay(self, name: str, launch: Callable[[], None]) -> None:
        """Launch kernels; the first time they are recorded too, on a GPU as a CUDA graph, and replayed from then on."""
        with self._on_device():
            if name in self._graphs:
                wp.capture_launch(self._graphs[name])
                return
            launch()  # compiles, which must not happen while recording
        with wp.ScopedDevice(self._place), wp.ScopedCapture(self._place) as recording:
            launch()
        self._graphs[name] = recording.graph

    def _on_device(self) -> AbstractContextManager[object]:
        """Where launches go: on a GPU, behind what torch has queued."""
        if self._place.is_cuda:
            return wp.ScopedStream(wp.stream_from_torch(self.device))
        return wp.ScopedDevice(self._place)


def _array(holder: Any, name: str, batch: str) -> wp.array:
    """The array of MuJoCo Warp's model or data called `name` whose first axis is `batch`."""
    specs = holder.__dataclass_fields__.items()
    names = [field for field, spec in specs if getattr(spec.type, "shape", ())[:1] == (batch,)]
    if name not in names:
        raise LookupError(f"MuJoCo Warp has no {name!r} that differs between worlds; it has {', '.join(names)}")
    return getattr(holder, name)


def _view(array: wp.array) -> torch.Tensor:
    """As torch sees it, matrices flat as in MuJoCo."""
    view = wp.to_torch(array)
    return view.flatten(2) if view.ndim == 4 else view
