"""Domain randomization: what may differ between a simulated robot and the real one, sampled per world.

`Randomizer` writes model fields, `Sensing` spoils what sensors see, `Disturbances` push; `Randomization` holds the
ranges of all of it. `envs.randomization.verify` proves on compiled worlds that each term does what it says.
"""

from envs.randomization.disturbances import Disturbances
from envs.randomization.parameter import Range
from envs.randomization.randomizer import Randomizer
from envs.randomization.ranges import PRESETS, Randomization, delay_range, delay_samples, hidden_width, preset
from envs.randomization.sensing import Sensing
from envs.randomization.terms import MODEL_FIELDS, PARAMETERS

__all__ = [
    "MODEL_FIELDS",
    "PARAMETERS",
    "PRESETS",
    "Disturbances",
    "Randomization",
    "Randomizer",
    "Range",
    "Sensing",
    "delay_range",
    "delay_samples",
    "hidden_width",
    "preset",
]
