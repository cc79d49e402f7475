"""MuJoCo's profiling clocks are off in processes that have made worlds."""

import subprocess
import sys

PROGRAM = """
import mujoco
from envs.physics.timers import switch_off_timers

ball = "<body><freejoint/><geom size='1'/></body>"
model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{ball}</worldbody></mujoco>")
before, after = mujoco.MjData(model), mujoco.MjData(model)
mujoco.mj_step(model, before, nstep=10)
print(switch_off_timers(), switch_off_timers())
mujoco.mj_step(model, after, nstep=10)
print(before.timer[0].duration > 0.0, after.timer[0].duration)
print((before.qpos == after.qpos).all())
"""


def test_clocks_are_off_and_results_are_the_same():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:3] == ["True True", "True 0.0", "True"]
