"""How fast and how well policies train, beside peers, in one run.

    python -m benchmarks.training [--tier smoke|ci|full] [--part NAME] [--json FILE]

- `halfcheetah`: environment steps a second with learning, ours beside rsl_rl, Stable-Baselines3, a single-file PPO.
- `go1`: the same of a walking robot, beside Stable-Baselines3 and the engine's limit.
- `returns`: what ours and Stable-Baselines3's published hyperparameters reach in equal wall-clock.
- `walking`: seconds until a go1 walks.
- `humanoid`: a G1 that walks.
- `two_ranks`: two data-parallel learners beside one.

A part that takes long measures nothing in the shorter tiers and is then listed under `skipped`.
"""

from benchmarks import go1_learning, half_cheetah_learning, humanoid, report, returns, two_ranks, walking

PARTS = {
    "halfcheetah": half_cheetah_learning.measure,
    "go1": go1_learning.measure,
    "returns": returns.measure,
    "walking": walking.measure,
    "humanoid": humanoid.measure,
    "two_ranks": two_ranks.measure,
}

if __name__ == "__main__":
    report.run("training", PARTS)
