"""Walk at the commanded velocity over slopes, waves, stairs and rubble, harder ones as the robot gets farther.

The task of `envs.tasks.velocity` on the ground of `envs.terrain`. The actor is blind: what it knows of the ground, its
feet tell it.
"""

from dataclasses import replace

from envs.tasks.velocity import TASK as FLAT
from envs.terrain import TerrainSpec

TASK = replace(
    FLAT,
    name="velocity_rough",
    title="Walk at the commanded velocity over rough ground",
    training_seconds=10.0,
    terrain=TerrainSpec(),
)
