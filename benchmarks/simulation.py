"""How fast worlds are stepped, beside the engine's limit and beside peers, in one run.

    python -m benchmarks.simulation [--tier smoke|ci|full] [--json FILE] [--device cuda]

- `go1_velocity_vs_raw`, `g1_velocity_vs_raw`, `randomization_cost`, memory: `benchmarks.velocity`.
- `halfcheetah_vs_*`: `benchmarks.half_cheetah`, peers in virtual environments that the benchmark makes itself. A peer
  that cannot be installed, on an offline machine for example, is listed under `skipped` with the reason.
- `--device NAME`: control steps a second of an engine on that device, `benchmarks.gpu_stepping`, instead of all this.
"""

from benchmarks import gpu_stepping, half_cheetah, report, velocity

PARTS = {"velocity": velocity.measure, "halfcheetah": half_cheetah.measure}

if __name__ == "__main__":
    report.run("simulation", PARTS, on_device=gpu_stepping.measure)
