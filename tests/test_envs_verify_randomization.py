"""`verify-randomization`: passes on the real thing, and names each of twelve mistakes that would pass silently."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import envs.tasks
import robots
from envs.physics.cpu import CpuPhysics
from envs.randomization import Disturbances, Randomization, Sensing, anatomy, plan, preset, randomizer, terms
from envs.randomization.parameter import Parameter
from envs.randomization.proofs import delay
from envs.randomization.proofs.finding import Problem
from envs.randomization.verify import Finding, failures, report, verify
from envs.terrain import Terrain
from envs.vector_env import VectorEnv
from robots.joint_space import joint_space
from robots.model import FLOOR, build_model
from robots.records import encode
from sim2real import cli

torch.set_num_threads(1)
QUIET = replace(preset("none"), noise=0.0)
Patch = pytest.MonkeyPatch


def problems(randomization: Randomization, robot: str = "go1", task: str = "velocity") -> tuple[Problem, ...]:
    return failures(verify(robots.get(robot), envs.tasks.get(task), randomization))


def the_problem(term: str, found: tuple[Problem, ...]) -> str:
    """What is said about a term, and that something is."""
    own = [str(problem) for problem in found if problem.term == term]
    assert own, f"nothing was said about {term}: {[str(problem) for problem in found]}"
    return own[0]


def statuses(findings: tuple[Finding, ...]) -> dict[str, str]:
    return {finding.term: finding.status for finding in findings}


@pytest.mark.parametrize(
    ("robot", "task"),
    [
        ("go1", "velocity"),
        ("anymal_c", "velocity"),
        ("quadruped", "velocity"),
        ("so101", "reach"),
        ("cartpole", "balance"),
    ],
)
def test_everything_is_proved_on_real_robots(robot, task):
    findings = verify(robots.get(robot), envs.tasks.get(task), preset("full"))
    assert not failures(findings)
    found = statuses(findings)
    if task == "velocity":
        assert set(found.values()) == {"proved", "absent"}
        absent = [name for name in found if found[name] == "absent"]
        assert absent == ["surface_friction"] + ["link_length"] * (robot != "quadruped")
    if robot == "cartpole":
        assert {found[name] for name in ("kp", "delay", "friction", "com_x", "push_speed", "slope_y")} == {"absent"}
    assert found["mass"] == found["strength"] == found["restarts"] == found["dropout"] == "proved"


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "Ant-v5", "Humanoid-v5"])
def test_everything_is_proved_on_worlds_of_gymnasium_ids(name):
    findings = verify(robots.get(f"gymnasium:{name}"), envs.tasks.get("gymnasium"), preset("full"))
    assert not failures(findings)
    found = statuses(findings)
    own = {"mass", "damping", "strength", "armature", "surface_friction", "payload", "slope_x", "restarts", "force"}
    own |= set() if name == "HalfCheetah-v5" else {"com_x", "com_y", "com_z", "slope_y", "push_speed"}  # a free base
    assert {term for term in found if found[term] == "proved"} == own
    assert {found[term] for term in found.keys() - own} == {"absent"}


def test_a_mistake_on_a_gymnasium_id_is_named(monkeypatch: Patch):
    monkeypatch.setattr(anatomy, "rubbing_geoms", lambda model: np.array([0]))  # the floor alone
    asked = replace(QUIET, surface_friction=(0.6, 1.4))
    said = the_problem("surface_friction", problems(asked, "gymnasium:HalfCheetah-v5", "gymnasium"))
    assert "surface_friction: was not written: geom_friction[torso, head, bthigh, bshin, …] expected [0.56, " in said


def test_worlds_that_gymnasium_steps_one_by_one_are_refused():
    with pytest.raises(ValueError, match=r"InvertedPendulum-v5 are environments of Gymnasium, one by one: only those"):
        problems(QUIET, "gymnasium:InvertedPendulum-v5", "gymnasium")


def test_what_is_switched_off_is_not_claimed_to_be_proved():
    found = statuses(verify(robots.get("go1"), envs.tasks.get("velocity"), replace(QUIET, kp=(0.8, 1.2))))
    assert found["kp"] == "proved"
    assert found["mass"] == found["noise"] == found["push_speed"] == "off"


def test_a_report_is_json_data_with_a_row_for_each_term():
    findings = verify(robots.get("go1"), envs.tasks.get("velocity"), QUIET)
    written = report(findings)
    assert written["proved"] is True
    assert written["problems"] == []
    assert [row["term"] for row in written["terms"]] == [finding.term for finding in findings]
    assert len(written["terms"]) == len(terms.MODEL_TERMS) + 1 + 7 + 3  # and restarts, sensing, disturbances


# The twelve mistakes, each as somebody could make it.


def test_1_scaled_to_zero(monkeypatch: Patch):
    """The compiled values are read into a buffer that nobody filled."""
    look_up = plan.WritePlan._look_up

    def unfilled(self: plan.WritePlan, device: torch.device) -> None:
        look_up(self, device)
        self._nominal = torch.zeros_like(self._nominal)

    monkeypatch.setattr(plan.WritePlan, "_look_up", unfilled)
    said = the_problem("kp", problems(replace(QUIET, kp=(0.8, 1.2))))
    assert "kp: scaled to zero: actuator_gainprm[FL_hip_joint, " in said
    assert "expected [35, 35, 35, 35, 35, 35, …], found [0, 0, 0, 0, 0, 0, …]" in said


def test_2_unmatched_name(monkeypatch: Patch):
    """Feet are looked for under names that no geom has: the preset's friction would be dropped without a word."""
    find_rows = anatomy.find_rows

    def pattern_without_match(model, spec, group):
        return np.array([], dtype=np.intp) if group == "feet" else find_rows(model, spec, group)

    monkeypatch.setattr(anatomy, "find_rows", pattern_without_match)
    said = the_problem("friction", problems(replace(QUIET, friction=(0.4, 1.25))))
    assert "friction: unmatched name: geom_friction expected rows of feet, which the robot has, found no rows" in said


def test_3_compounding(monkeypatch: Patch):
    """A sample scales what the last one left."""
    write = plan.WritePlan.write

    def from_the_last_sample(self: plan.WritePlan, worlds: torch.Tensor, values: torch.Tensor) -> None:
        self._nominal = torch.cat([live[worlds[-1], flat] for live, flat, _ in self._fields])
        write(self, worlds, values)

    monkeypatch.setattr(plan.WritePlan, "write", from_the_last_sample)
    said = the_problem("damping", problems(replace(QUIET, damping=(0.5, 2.0))))
    assert "damping: compounds over resets: dof_damping[" in said
    assert "never from the last sample" in said


def test_4_mass_without_inertia(monkeypatch: Patch):
    forgotten = {"mass": replace(terms.BY_NAME["mass"], claims=terms.BY_NAME["mass"].claims[:1])}
    plant(monkeypatch, forgotten)
    said = the_problem("mass", problems(replace(QUIET, mass=(0.85, 1.15))))
    assert "mass: mass without inertia: body_inertia[trunk] expected [" in said
    assert "scale body_inertia with body_mass" in said


def test_5_stale_derived_constant(monkeypatch: Patch):
    monkeypatch.setattr(CpuPhysics, "set_const", lambda self, worlds: None)
    said = the_problem("mass", problems(replace(QUIET, mass=(0.85, 1.15))))
    assert "mass: stale derived constant: " in said
    assert "call set_const in the worlds whose fields were written" in said


def test_6_wrong_body(monkeypatch: Patch):
    """A body index that forgets that the world is body 0."""
    find_rows = anatomy.find_rows

    def off_by_one(model, spec, group):
        return find_rows(model, spec, group) + (group == "trunk")

    monkeypatch.setattr(anatomy, "find_rows", off_by_one)
    said = the_problem("mass", problems(replace(QUIET, mass=(0.85, 1.15))))
    assert "mass: wrong body: other rows were written: body_mass[trunk, FL_hip]" in said


def test_7_swapped_units(monkeypatch: Patch):
    """A shift in units of L is written as metres."""
    begin = anatomy.Anatomy.__init__

    def metres(self, *given):
        begin(self, *given)
        self.units["L"] = 1.0

    monkeypatch.setattr(anatomy.Anatomy, "__init__", metres)
    said = the_problem("com_x", problems(replace(QUIET, com_x=(-0.1, 0.1))))
    assert "com_x: wrong value (another unit?): body_ipos[trunk] expected " in said
    length = joint_space(robots.get("go1")).length
    assert f"the change is {1 / length:.4g} times the expected one" in said  # L = 0.285 m: 3.5 times too far
    assert "in units of 'L'" in said


def test_8_no_effect_on_the_rollout(monkeypatch: Patch):
    """The floor outranks the feet: their friction is written and never read."""

    def floor_first(*given, **more):
        model = build_model(*given, **more)
        model.geom_priority[model.geom(FLOOR).id] = 2
        return model

    monkeypatch.setattr("envs.vector_env.build_model", floor_first)
    said = the_problem("friction", problems(replace(QUIET, friction=(0.4, 1.25))))
    assert "friction: no effect on the rollout: qpos expected a difference of at least" in said
    assert "check that the physics reads geom_friction (contact priority" in said


def test_9_delay_collapsed_by_a_time_reset(monkeypatch: Patch):
    restore = CpuPhysics.restore

    def from_time_zero(self: CpuPhysics, worlds: torch.Tensor, rows: torch.Tensor) -> None:
        restore(self, worlds, rows)
        self.batch.bind("time")[worlds.numpy()] = 0.0

    monkeypatch.setattr(CpuPhysics, "restore", from_time_zero)
    said = the_problem("delay", problems(replace(QUIET, delay=(2.0, 2.5))))
    assert "delay: delay collapsed: actuator_delay[FL_hip_joint] after a restart of world 0 expected" in said
    assert "found 1 steps from command to torque; restore whole saved state rows" in said


def test_10_delay_clamped(monkeypatch: Patch):
    """Buffers of two steps for delays of four and five: refused at once, and measured where the check is missing."""
    monkeypatch.setattr("envs.vector_env.delay_samples", lambda randomization, spec: 2)
    with pytest.raises(
        ValueError, match=r"delay buffers hold 8\.000 ms, but delays reach 20\.000 ms, which MuJoCo would"
    ):
        problems(replace(QUIET, delay=(2.0, 2.5)))
    monkeypatch.setattr(randomizer, "check_delays_fit", lambda longest, buffers: None)
    said = the_problem("delay", problems(replace(QUIET, delay=(2.0, 2.5))))
    assert "delay: delay clamped: actuator_delay[FL_hip_joint] after a restart of world 0 expected" in said
    assert "found 2 steps from command to torque; its buffer holds 2 steps" in said


@pytest.mark.parametrize("mistake", ["one column", "first column"])
def test_11_per_foot_value_shared(monkeypatch: Patch, mistake: str):
    if mistake == "one column":
        monkeypatch.setattr(Parameter, "width", lambda self, anatomy, separate: 1)
    else:
        look_up = plan.WritePlan._look_up

        def from_the_first_foot(self: plan.WritePlan, device: torch.device) -> None:
            look_up(self, device)
            feet = self.columns["foot_friction"]
            for picked in self._factors:
                picked[(picked >= feet.start) & (picked < feet.stop)] = feet.start

        monkeypatch.setattr(plan.WritePlan, "_look_up", from_the_first_foot)
    said = the_problem("foot_friction", problems(replace(QUIET, foot_friction=(0.8, 1.2))))
    assert "foot_friction: one value shared by all rows: geom_friction" in said


def test_12_a_term_applied_to_one_world_only(monkeypatch: Patch):
    write = plan.WritePlan.write
    monkeypatch.setattr(plan.WritePlan, "write", lambda self, worlds, values: write(self, worlds[:2], values[:2]))
    said = the_problem("kd", problems(replace(QUIET, kd=(0.8, 1.2))))
    assert "kd: acts in some worlds only: not in [2, 3] of 4: actuator_gainprm[" in said
    assert "index the field by all worlds that restart" in said


def plant(monkeypatch: Patch, changed: dict[str, Parameter]) -> None:
    """Let the randomizer work with other parameters than it proves."""
    others = tuple(changed.get(item.name, item) for item in terms.MODEL_TERMS)
    monkeypatch.setattr(randomizer, "MODEL_TERMS", others)


# Mistakes of sensors and disturbances are named too.


def test_a_sensor_delay_that_does_nothing_is_named(monkeypatch: Patch):
    monkeypatch.setattr(Sensing, "_recall", lambda self, generator: {n: m[:, 0] for n, m in self.memory.items()})
    said = the_problem("sensor_delay", problems(replace(QUIET, sensor_delay=(0.005, 0.03))))
    assert "sensor_delay: is not what it says: gravity, gyro, joint_pos, joint_vel expected ages 0.005..0.03 s" in said


def test_a_push_on_the_wrong_axis_is_named(monkeypatch: Patch):
    def upwards(self: Disturbances, generator: torch.Generator) -> None:
        self.physics.qvel[:, 1:3] += self.push_speed

    monkeypatch.setattr(Disturbances, "act", upwards)
    said = the_problem("push_speed", problems(replace(QUIET, push_speed=0.2)))
    assert "push_speed: wrong body or axis: qvel expected entries [0, 1], found [1, 2]" in said


def test_measured_lags_count_physics_steps_by_hand():
    asked = replace(QUIET, delay=(2.0, 2.0))
    worlds = VectorEnv(robots.get("go1"), envs.tasks.get("velocity"), num_envs=1, randomization=asked, num_threads=1)
    assert delay.measured_lags(worlds, 8).tolist() == [[4] * 12]  # 2 · 8 ms in steps of 4 ms


def test_the_command_fails_loudly_and_says_why(monkeypatch: Patch, tmp_path, capsys):
    ranges, written = tmp_path / "ranges.json", tmp_path / "result.json"
    ranges.write_text(json.dumps(encode(replace(QUIET, mass=(0.85, 1.15)))))
    command = ["verify-randomization", "go1", "velocity", "--randomization", str(ranges), "--json", str(written)]
    assert cli.main(command) == 0
    assert "mass              proved  body_mass ×, body_inertia × (trunk)" in capsys.readouterr().out
    monkeypatch.setattr(CpuPhysics, "set_const", lambda self, worlds: None)
    assert cli.main(command) == 1
    assert "FAILED mass: stale derived constant: " in capsys.readouterr().out
    result = json.loads(written.read_text())
    assert result["ok"] is False
    assert result["result"]["problems"][0].startswith("mass: stale derived constant: ")
    assert cli.main([*command[:1], "so101", *command[2:]]) == 2  # an arm that should walk


def test_ranges_that_a_robot_cannot_have_are_refused():
    with pytest.raises(
        ValueError, match=r"friction=\(0\.5, 0\.6\): it acts on feet, and there are none on robot so101"
    ):
        problems(replace(QUIET, friction=(0.5, 0.6)), "so101", "reach")


def test_rough_ground_is_proved_and_a_ground_somewhere_else_is_caught(monkeypatch):
    def found() -> Finding:
        findings = verify(robots.get("go1"), envs.tasks.get("velocity_rough"), preset("default"))
        return next(one for one in findings if one.term == "terrain")

    assert found().status == "proved"
    add = Terrain.add_to
    monkeypatch.setattr(Terrain, "add_to", lambda self, model: add(Terrain(self.spec, self.length, seed=5), model))
    assert found().status == "FAILED"
    assert "not the ground that heights are measured from: hfield_data" in str(found().problems[0])
