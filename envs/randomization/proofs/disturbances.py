"""Proof that pushes, random forces and jitter of delays change the state they claim, nothing else, and the motion."""

from dataclasses import replace

import mujoco
import numpy as np
import torch

from envs.randomization.disturbances import DISTURBANCE_TERMS, Disturbances, DisturbanceTerm
from envs.randomization.proofs.differences import differences
from envs.randomization.proofs.finding import Finding, Problem, short
from envs.randomization.proofs.model import LEAST_EFFECT, start_rows, violent_controls
from envs.randomization.proofs.provable import Provable
from envs.randomization.ranges import PRESETS, Randomization

STEPS = 10
OFF = replace(PRESETS["none"], noise=0.0)


def prove_disturbances(worlds: Provable, asked: Randomization) -> list[Finding]:
    """The proofs of all disturbances, in nominal worlds."""
    return [_prove(term, worlds, asked) for term in DISTURBANCE_TERMS]


def _prove(term: DisturbanceTerm, worlds: Provable, asked: Randomization) -> Finding:
    value = getattr(asked, term.name)
    disturbances = _alone(term, worlds, value)

    def finding(status: str, found: str, effect: str = "", problems: tuple[Problem, ...] = ()) -> Finding:
        return Finding(
            term=term.name,
            kind="disturbance",
            claims=term.acts_on,
            found=found,
            effect=effect,
            status="FAILED" if problems else status,
            problems=problems,
        )

    if value == 0.0:
        return finding("off", "fixed at 0")
    largest = {"push_speed": disturbances.push_speed, "force": disturbances.force, "delay_jitter": disturbances.jitter}
    if largest[term.name] == 0.0:
        return finding("absent", "nothing to act on")
    problems, found = _changes(term, worlds, disturbances, largest[term.name])
    effect = _effect(worlds, disturbances)
    if effect < LEAST_EFFECT and not problems:
        problems = [_problem(term, "no effect on the rollout", "qpos", f">= {LEAST_EFFECT:g}", f"{effect:.2g}")]
    return finding("proved", found, f"{effect:.2g} rad or m after {STEPS * worlds.dt:.2g} s", tuple(problems))


def _alone(term: DisturbanceTerm, worlds: Provable, value: float) -> Disturbances:
    """Disturbances with one term alone, which happens in every step."""
    alone = replace(OFF, push_seconds=1e-6, force_seconds=1e-6, **{term.name: value})  # type: ignore[arg-type]
    return Disturbances(alone, worlds.randomizer, worlds.space, worlds.dt)


def _start(worlds: Provable) -> None:
    """The same state and the nominal model in every world."""
    physics, nominal = worlds.physics, worlds.randomizer.nominal.repeat(worlds.num_envs, 1)
    worlds.randomizer.apply(torch.arange(worlds.num_envs, device=worlds.device), nominal)
    rows = start_rows(worlds)[1:].expand(physics.num_worlds, -1)
    physics.restore(torch.arange(physics.num_worlds, device=physics.device), rows)


def _changes(
    term: DisturbanceTerm, worlds: Provable, disturbances: Disturbances, largest: float
) -> tuple[list[Problem], str]:
    """Let it happen once: what has changed in states and models, against what is claimed."""
    physics, generator = worlds.physics, torch.Generator(worlds.device).manual_seed(2)
    _start(worlds)
    before, models = physics.save(), [physics.batch.get_model(world) for world in range(2)]  # type: ignore[attr-defined]
    disturbances.restart(torch.arange(physics.num_worlds, device=physics.device))
    disturbances.act(generator)
    changed = (physics.save() - before).cpu().numpy()
    parts = state_parts(physics.model)
    touched = [name for name, part in parts.items() if np.any(changed[:, part])]
    fields = [
        difference
        for world, model in enumerate(models)
        for difference in differences(physics.batch.get_model(world), model)  # type: ignore[attr-defined]
    ]
    touched += sorted({difference.field for difference in fields})
    problems = []
    if touched != [term.acts_on]:
        fault = "does not change what it claims" if not touched else "changes what it does not claim"
        problems = [
            _problem(term, fault, term.acts_on, f"a change of {term.acts_on} alone", ", ".join(touched) or "none")
        ]
        return problems, "no change"
    if term.acts_on == "actuator_delay":
        shift = np.stack([difference.found - difference.expected for difference in fields])
        shift = shift / np.maximum(physics.model.actuator_delay, 1e-12)
        everywhere, places = len(fields) == 2, set(range(physics.model.nu))
        low = 0.0
    else:
        shift = changed[:, parts[term.acts_on]]
        everywhere, places = bool(np.any(shift, axis=1).all()), set(np.flatnonzero(np.any(shift, axis=0)).tolist())
        low = -largest
    allowed = _places(term, worlds, disturbances)
    size = f"{short([shift.min(), shift.max()])}"
    if not places <= allowed:
        problems.append(
            _problem(term, "wrong body or axis", term.acts_on, f"entries {sorted(allowed)}", str(sorted(places)))
        )
    if not everywhere:
        problems.append(
            _problem(term, "acts in some worlds only", term.acts_on, "a change in every world", "none in some")
        )
    if shift.min() < 1.001 * low - 1e-9 or shift.max() > 1.001 * largest or abs(shift).max() < 0.2 * largest:
        problems.append(_problem(term, "wrong size (another unit?)", term.acts_on, f"within ±{largest:.4g}", size))
    return problems, f"{term.acts_on} changes by {size}"


def _places(term: DisturbanceTerm, worlds: Provable, disturbances: Disturbances) -> set[int]:
    """Entries that a disturbance may change."""
    model, spec = worlds.physics.model, worlds.spec
    if term.acts_on == "qvel":
        first = int(model.jnt_dofadr[model.body(spec.base_body).jntadr[0]])
        return {first, first + 1}
    if term.acts_on == "xfrc_applied":
        body = model.body(spec.base_body).id
        if not (model.body_jntnum[body] and model.jnt_type[model.body_jntadr[body]] == mujoco.mjtJoint.mjJNT_FREE):
            tool = spec.end_effector if spec.kind == "arm" else ""
            body = model.site(tool).bodyid[0] if tool else model.joint(spec.measured_joints[-1]).bodyid[0]
        return {6 * int(body) + axis for axis in range(3)}
    return set(range(model.nu))


def _effect(worlds: Provable, disturbances: Disturbances) -> float:
    """Largest difference in position between a disturbed and an undisturbed run."""
    physics, ends = worlds.physics, []
    for disturbed in (False, True):
        _start(worlds)
        generator = torch.Generator(worlds.device).manual_seed(3)
        for controls in violent_controls(worlds, STEPS):
            physics.ctrl[:] = controls.to(physics.ctrl)
            if disturbed:
                disturbances.act(generator)
            physics.step(worlds.spec.substeps)
        ends.append(physics.qpos.clone())
    return float((ends[0] - ends[1]).abs().max())


def state_parts(model: mujoco.MjModel) -> dict[str, slice]:
    """Where parts of the state lie in a saved row (mjSTATE_INTEGRATION)."""
    kinds = {
        "time": mujoco.mjtState.mjSTATE_TIME,
        "qpos": mujoco.mjtState.mjSTATE_QPOS,
        "qvel": mujoco.mjtState.mjSTATE_QVEL,
        "act": mujoco.mjtState.mjSTATE_ACT,
        "history": mujoco.mjtState.mjSTATE_HISTORY,
        "qacc_warmstart": mujoco.mjtState.mjSTATE_WARMSTART,
        "ctrl": mujoco.mjtState.mjSTATE_CTRL,
        "qfrc_applied": mujoco.mjtState.mjSTATE_QFRC_APPLIED,
        "xfrc_applied": mujoco.mjtState.mjSTATE_XFRC_APPLIED,
    }
    parts, start = {}, 0
    for name, kind in sorted(kinds.items(), key=lambda item: item[1].value):
        size = mujoco.mj_stateSize(model, kind)
        parts[name], start = slice(start, start + size), start + size
    return parts


def _problem(term: DisturbanceTerm, fault: str, field: str, expected: str, found: str) -> Problem:
    return Problem(
        term=term.name,
        fault=fault,
        field=field,
        expected=expected,
        found=found,
        remedy="mend envs.randomization.disturbances",
    )
