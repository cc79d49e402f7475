"""State rows: all that a world's next step depends on, time, delay buffers and warm start included, as one vector."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.model import default_data

STATE = mujoco.mjtState.mjSTATE_INTEGRATION


def state_row(model: mujoco.MjModel, data: mujoco.MjData) -> NDArray[np.float64]:
    """(num_state,) of `data`."""
    row = np.empty(mujoco.mj_stateSize(model, STATE))
    mujoco.mj_getState(model, data, row, STATE)
    return row


def nominal_row(model: mujoco.MjModel) -> NDArray[np.float64]:
    """(num_state,) at rest in the nominal pose, which delayed actuators have been commanded all along."""
    return state_row(model, default_data(model))
