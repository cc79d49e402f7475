"""The doctor: what is missing is followed by the command that mends it."""

import os
import subprocess
import sys

import pytest

from sim2real import doctor
from tests.campaign_kinds import ROOT


def by_name(checks):
    return {check.name: check for check in checks}


def test_this_machine_can_run_sim2real(tmp_path):
    findings = doctor.examine(tmp_path)
    assert findings["healthy"], [check for check in findings["checks"] if check["status"] == "missing"]
    names = {check["name"] for check in findings["checks"]}
    assert names >= {
        "python",
        "torch",
        "mujoco",
        "ray",
        "cores",
        "memory",
        "GPU",
        "OpenGL",
        "ffmpeg",
        "C compiler",
        "store",
    }
    assert all(check["mend"] for check in findings["checks"] if check["status"] in ("missing", "warning"))


def test_every_core_dependency_of_the_project_is_checked():
    assert {"torch", "ray", "mujoco", "numpy"} <= set(by_name(doctor.dependencies()))


def test_a_missing_and_an_old_dependency_come_with_the_command():
    checks = by_name(doctor.dependencies(["no-such-package>=1.0", "numpy>=999", "numpy>=1"]))
    assert checks["no-such-package"].status == "missing"
    assert checks["no-such-package"].mend == f"{sys.executable} -m pip install 'no-such-package>=1.0'"
    old = next(iter(doctor.dependencies(["numpy>=999"])))
    assert old.status == "missing"
    assert old.found.endswith(", needs >=999")


def test_a_store_that_cannot_be_written_is_missing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    check = next(doctor.writing(tmp_path / "file" / "store"))
    assert check.status == "missing"
    assert check.mend.startswith("export SIM2REAL_STORE=")
    assert next(doctor.writing(tmp_path / "later" / "store")).status == "ok"


def test_a_local_package_that_shadows_ours_is_named(tmp_path):
    assert [check.name for check in doctor.names(tmp_path)] == ["package names"]
    (tmp_path / "robots").mkdir()
    assert [check.name for check in doctor.names(tmp_path)] == ["package names"], "a bare folder gives way to a package"
    (tmp_path / "robots" / "__init__.py").touch()
    (tmp_path / "envs.py").touch()
    shadows = by_name(doctor.names(tmp_path))
    assert set(shadows) == {"name robots", "name envs"}
    assert (
        shadows["name robots"].found
        == f"{tmp_path / 'robots' / '__init__.py'} is imported instead of {ROOT / 'robots'}"
    )


def test_a_checkout_behind_a_link_shadows_nothing(tmp_path):
    (tmp_path / "link").symlink_to(ROOT)
    script = "import sys; from sim2real import doctor; print(*doctor.names(doctor.Path(sys.argv[1])))"
    options = {"env": {**os.environ, "PYTHONPATH": str(tmp_path / "link")}, "cwd": tmp_path}
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, **options)
    assert "nothing shadows" in done.stdout, done.stdout + done.stderr


def test_a_foreign_package_under_our_name_is_an_error_that_doctor_survives(tmp_path):
    (tmp_path / "robots").mkdir()
    (tmp_path / "robots" / "__init__.py").touch()
    settings = {"MENAGERIE_ROOT": str(tmp_path), "SIM2REAL_STORE": str(tmp_path / "store")}
    options = {"env": {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}", **settings}, "cwd": tmp_path}
    command = [sys.executable, "-m", "sim2real.cli"]
    done = subprocess.run([*command, "doctor"], capture_output=True, text=True, **options)
    assert done.returncode == 1
    assert f"missing  name robots        {tmp_path / 'robots'} is imported instead of {ROOT / 'robots'}" in done.stdout
    assert "mend: rename" in done.stdout
    other = subprocess.run([*command, "train", "--robot", "go1"], capture_output=True, text=True, **options)
    assert other.returncode == 1
    assert "sim2real doctor says what is missing or shadowed" in other.stderr


def test_the_menagerie_is_looked_for_where_it_is_said_to_be(tmp_path, monkeypatch):
    monkeypatch.setenv("MENAGERIE_ROOT", str(tmp_path))
    assert next(doctor.menagerie()).status == "ok"
    monkeypatch.setenv("MENAGERIE_ROOT", str(tmp_path / "gone"))
    assert next(doctor.menagerie()).status == "warning"
    monkeypatch.delenv("MENAGERIE_ROOT")
    monkeypatch.setenv("MENAGERIE_BASE_URL", tmp_path.as_uri())
    assert next(doctor.menagerie()).status == "ok"
    monkeypatch.setenv("MENAGERIE_CACHE_DIR", str(tmp_path / "empty"))
    monkeypatch.setenv("MENAGERIE_BASE_URL", "http://127.0.0.1:1")
    check = next(doctor.menagerie())
    assert check.status == "warning"
    assert "http://127.0.0.1:1 cannot be reached" in check.found
    assert "MENAGERIE_ROOT" in check.mend


def test_opengl_that_does_not_render_says_what_to_install(monkeypatch):
    monkeypatch.setattr(doctor, "_renders", lambda backend: False)
    check = next(doctor.opengl())
    assert check.status == "warning"
    assert "apt-get install -y libegl1" in check.mend
    monkeypatch.setattr(doctor, "_renders", lambda backend: backend == "osmesa")
    assert next(doctor.opengl()).found == "renders with MUJOCO_GL=osmesa"


def test_a_frame_is_really_rendered_where_opengl_is(monkeypatch):
    if next(doctor.opengl()).status != "ok":
        pytest.skip("this machine has no off-screen OpenGL")
    monkeypatch.setattr(doctor, "RENDER", "raise SystemExit(1)")
    assert next(doctor.opengl()).status == "warning"
