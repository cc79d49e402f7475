"""Stages in seconds: few worlds, short episodes and few recordings everywhere; everything else is as users have it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import policies.evaluation
import policies.students.adaptation
import policies.students.schooling
import policies.training
import sim2real.stages.distill
import sim2real.stages.transfer
from policies.export import write


@contextmanager
def small_stages(num_envs: int) -> Iterator[pytest.MonkeyPatch]:
    """For as long as the context lasts; a module may change more by the patch that it gives.

    Args:
        num_envs: Of the stages that do not ask how many.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(policies.evaluation.evaluate.__kwdefaults__, "episodes", 4)
        patch.setitem(policies.evaluation.evaluate.__kwdefaults__, "seconds", 0.4)
        patch.setattr(policies.training, "CURVE_EPISODES", 2)
        patch.setattr(policies.training, "CURVE_SECONDS", 0.2)
        patch.setattr(policies.students.adaptation, "EPISODES", 2)
        patch.setattr(policies.students.schooling, "VARIED_EPISODES", 4)
        patch.setattr(write, "RECORDED_WORLDS", 4)
        patch.setattr(write, "RECORDED_STEPS", 20)
        patch.setattr(sim2real.stages.distill, "NUM_ENVS", num_envs)
        patch.setattr(sim2real.stages.transfer, "NUM_ENVS", num_envs)
        yield patch
