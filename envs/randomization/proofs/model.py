"""Proof that the parameters of the model do what they claim, on the compiled worlds of a task.

Each one alone is applied, three times over, to three worlds with different values, beside a nominal world; every field
of every world's model is compared with what `proofs.expected` works out, then all worlds run the same controls.
"""

import mujoco
import numpy as np
import torch

from envs.physics.rows import nominal_row
from envs.randomization.anatomy import GROUPS
from envs.randomization.bodies import lacks_family, lengthened
from envs.randomization.parameter import Parameter
from envs.randomization.proofs.differences import differences, explain
from envs.randomization.proofs.expected import Sample, expected_model, rows_of, table_of
from envs.randomization.proofs.finding import Finding, Problem, short
from envs.randomization.proofs.provable import Provable
from envs.randomization.ranges import Randomization
from envs.vector_env import model_of

CHANGED = (1, 2, 3)
"""Worlds that get other values; world 0 stays nominal."""
SHARES = (1.0, 0.0, 0.3)
"""Places of those values in the range, of the first row; the golden section spreads further ones."""
SIGNS = {"scale": "×", "divide": "÷", "add": "+", "set": "="}
ROLLOUT_STEPS = 25
LEAST_EFFECT = 1e-7
"""Least difference in a joint or base position that counts as an effect [rad, m]."""


def prove_parameter(worlds: Provable, parameter: Parameter, asked: Randomization) -> Finding:
    """The proof of one parameter, alone."""
    claims = ", ".join(f"{claim.field} {SIGNS[claim.operation]}" for claim in parameter.claims)
    claims = f"{claims} ({parameter.claims[0].rows})" if claims else "all fields in which bodies differ"
    value = getattr(asked, parameter.name)

    def finding(status: str, found: str, effect: str = "", problems: tuple[Problem, ...] = ()) -> Finding:
        return Finding(
            term=parameter.name,
            kind="model",
            claims=claims,
            found=found,
            effect=effect,
            status="FAILED" if problems else status,
            problems=problems,
        )

    reason = lacking(worlds, parameter)
    if reason:
        return finding("absent", reason)
    if parameter.name not in worlds.randomizer.columns:
        return finding("", "dropped", problems=(_unmatched(parameter),))
    if value == (parameter.nominal, parameter.nominal):
        return finding("off", f"fixed at {parameter.nominal:g}")
    samples = spread(worlds, parameter, value)
    problems = shared(worlds, parameter) or compare(worlds, parameter, samples)
    effect = rollout_effect(worlds)
    if effect < LEAST_EFFECT and not problems:
        problems = (_without_effect(parameter, samples, effect),)
    unit = "" if parameter.unit == "1" else f" {parameter.unit}"
    return finding(
        "proved",
        f"as claimed in {len(CHANGED)} worlds, with {len(parameter.constants)} constants",
        f"{effect:.2g} rad or m after {ROLLOUT_STEPS * worlds.dt:.2g} s, for {value[0]:g}..{value[1]:g}{unit}",
        problems,
    )


def lacking(worlds: Provable, parameter: Parameter) -> str:
    """Why this robot has nothing that the parameter could act on, looked up by name; empty if it has."""
    if not parameter.claims:
        return lacks_family(worlds.spec, worlds.physics.model)
    claim = parameter.claims[0]
    rows = rows_of(worlds.physics.model, worlds.spec, claim)
    if not rows:
        return f"none here: {GROUPS[claim.rows]}"
    if claim.operation == "scale" and not table_of(worlds.physics.model, claim.field)[rows][:, claim.columns].any():
        return f"{claim.field} is 0 throughout"
    return ""


def spread(worlds: Provable, parameter: Parameter, value: tuple[float, float]) -> torch.Tensor:
    """(1 + len(CHANGED), num_columns): nominal values, then only this parameter changed, every row differently."""
    randomizer = worlds.randomizer
    part = randomizer.columns[parameter.name]
    samples = randomizer.nominal.repeat(1 + len(CHANGED), 1)
    for world, share in zip(CHANGED, SHARES, strict=True):
        shares = np.array([share] + [(share + 0.618 * row) % 1.0 for row in range(1, part.stop - part.start)])
        samples[world, part] = torch.from_numpy(value[0] + (value[1] - value[0]) * shares).to(samples)
    if randomizer.bodies and not parameter.claims:  # lengths that there are bodies of
        samples[:, part] = randomizer.bodies.factors[randomizer.bodies.index(samples[:, part.start])][:, None]
    return samples


def shared(worlds: Provable, parameter: Parameter) -> tuple[Problem, ...]:
    """A problem if rows that should have values of their own share one."""
    rows = rows_of(worlds.physics.model, worlds.spec, parameter.claims[0]) if parameter.claims else []
    own = parameter.per == "foot" or parameter.name in worlds.randomization.separate
    part = worlds.randomizer.columns[parameter.name]
    if part.stop - part.start == (len(rows) if own else 1):
        return ()
    return (
        Problem(
            term=parameter.name,
            fault="one value shared by all rows" if own else "more values than it should have",
            field=parameter.claims[0].field,
            expected=f"{len(rows) if own else 1} values a world",
            found=str(part.stop - part.start),
            remedy="mend Parameter.width",
        ),
    )


def by_name(worlds: Provable, row: torch.Tensor) -> Sample:
    """A sample, (num_columns,), by parameter."""
    return {name: row[part].double().cpu().numpy() for name, part in worlds.randomizer.columns.items()}


def compare(worlds: Provable, parameter: Parameter, samples: torch.Tensor) -> tuple[Problem, ...]:
    """Apply `samples` once and twice more; everything that is not as expected."""
    everyone, nominal = torch.arange(len(samples), device=worlds.device), worlds.physics.model
    worlds.randomizer.apply(everyone, samples)
    once = [found_and_expected(worlds, world, samples[world]) for world in range(len(samples))]
    models = [found for found, _ in once]
    worlds.randomizer.apply(everyone, samples)
    worlds.randomizer.apply(everyone, samples)
    again = [worlds.physics.batch.get_model(world) for world in range(len(samples))]  # type: ignore[attr-defined]
    repeated = [differences(later, first) for later, first in zip(again, models, strict=True)]
    problems = explain(parameter, nominal, repeated, compounds=True)
    problems += explain(parameter, nominal, [differences(*pair) for pair in once]) if not problems else []
    return tuple(problems) or tuple(undeclared(parameter, models[0], models[1:]))


def found_and_expected(worlds: Provable, world: int, row: torch.Tensor) -> tuple[mujoco.MjModel, mujoco.MjModel]:
    """The model that a world runs with, and the one it should run with."""
    found = worlds.physics.batch.get_model(world)  # type: ignore[attr-defined]
    sample = by_name(worlds, row)
    factor = float(sample.get("link_length", [1.0])[0])
    compiled = worlds.physics.model
    if factor != 1.0:
        compiled = model_of(lengthened(worlds.spec, factor), worlds.task, worlds.randomization)
    return found, expected_model(compiled, worlds.spec, worlds.space, sample, found)


def undeclared(parameter: Parameter, nominal: mujoco.MjModel, found: list[mujoco.MjModel]) -> list[Problem]:
    """Fields that follow the parameter, against a world at its nominal value, and that it does not name."""
    if not parameter.claims:
        return []
    named = set(parameter.fields) | set(parameter.constants)
    changed = [
        difference for model in found for difference in differences(model, nominal) if difference.field not in named
    ]
    return (
        [
            Problem(
                term=parameter.name,
                fault="changes a field that it does not name",
                field=changed[0].field,
                expected=f"the compiled {short(changed[0].expected)}",
                found=short(changed[0].found),
                remedy="name the field in the parameter's claims or constants, or do not write it",
            )
        ]
        if changed
        else []
    )


def rollout_effect(worlds: Provable) -> float:
    """Largest difference in position between world 0 and the others after the same violent controls."""
    physics, effects = worlds.physics, []
    for row in start_rows(worlds):
        physics.restore(torch.arange(physics.num_worlds), row.expand(physics.num_worlds, -1))
        for controls in violent_controls(worlds, ROLLOUT_STEPS):
            physics.ctrl[:] = controls.to(physics.ctrl)
            physics.step(worlds.spec.substeps)
        effects.append(float((physics.qpos[list(CHANGED)] - physics.qpos[0]).abs().max()))
    return max(effects)


def start_rows(worlds: Provable) -> torch.Tensor:
    """(2, num_state): a state in which episodes begin, and the nominal pose, in which feet touch the ground."""
    nominal = torch.from_numpy(nominal_row(worlds.physics.model))
    return torch.stack([worlds.start_rows[0], nominal.to(worlds.start_rows)])


def violent_controls(worlds: Provable, steps: int) -> torch.Tensor:
    """(steps, num_joints) controls that reach limits of torque and speed."""
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(steps, worlds.spec.num_joints, generator=generator)
    joints = worlds.spec.joints
    low, high = torch.tensor([joint.position_limits for joint in joints]).unbind(-1)
    torque = torch.tensor([joint.actuator.torque_limit for joint in joints])
    servo = torch.tensor([joint.actuator.control == "position" for joint in joints])
    targets = torch.tensor(worlds.spec.default_positions) + 1.5 * draws
    return torch.where(servo, torch.minimum(torch.maximum(targets, low), high), 2.0 * torque * draws)


def _unmatched(parameter: Parameter) -> Problem:
    rows = parameter.claims[0].rows
    return Problem(
        term=parameter.name,
        fault="unmatched name",
        field=parameter.claims[0].field,
        expected=f"rows of {GROUPS[rows]}, which the robot has",
        found="no rows: the parameter was dropped",
        remedy=f"mend how envs.randomization.anatomy.find_rows finds {rows!r}",
    )


def _without_effect(parameter: Parameter, samples: torch.Tensor, effect: float) -> Problem:
    return Problem(
        term=parameter.name,
        fault="no effect on the rollout",
        field="qpos",
        expected=f"a difference of at least {LEAST_EFFECT:g} after {ROLLOUT_STEPS} control steps",
        found=f"{effect:.2g}, although the model has changed",
        remedy=f"check that the physics reads {', '.join(parameter.fields)} (contact priority, limits, disabled flags)",
    )
