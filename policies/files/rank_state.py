"""The state of a training in several ranks, for one checkpoint file that all of them go on from.

Learners are equal, so they are kept once; every rank has worlds and generators of its own, those of rank 1 under
`rank1.`, and so on. One file is written by one rename: no kill leaves ranks at different steps.
"""

import json

import torch

from envs.state_dicts import Tensors, prefixed, without_prefix
from policies.collective import Collective, refuse_drift
from policies.files.generators import global_state, restore_global_state

COMMON = ("learner.policy.", "learner.actor_optimizer.", "learner.critic_optimizer.")
"""Beginnings of the names of tensors that are the same on every rank."""
GLOBALS, WORDS = "globals", "words"


def of_all(collective: Collective, tensors: Tensors, env_steps: int) -> Tensors:
    """What rank 0 writes for everyone; its own tensors at other ranks.

    Raises:
        policies.collective.DriftedError: the learners are not equal.
    """
    refuse_drift(collective, {name: value for name, value in tensors.items() if name.startswith(COMMON)}, env_steps)
    if collective.size == 1:
        return tensors
    states, words = global_state()
    own = {name: value for name, value in tensors.items() if not name.startswith(COMMON)}
    own |= prefixed(GLOBALS, states | {WORDS: _packed(words)})
    for rank, theirs in enumerate(collective.gather(own)):
        if rank:
            tensors = tensors | prefixed(f"rank{rank}", theirs)
    return tensors


def of_this(collective: Collective, tensors: Tensors) -> Tensors:
    """What a rank goes on from, out of what `of_all` gave; its global generators go on too."""
    own = without_prefix(f"rank{collective.rank}", tensors)
    if own:
        states = without_prefix(GLOBALS, own)
        restore_global_state(states, json.loads(bytes(states.pop(WORDS).tolist())))
    return tensors | own


def _packed(record: object) -> torch.Tensor:
    """JSON data as bytes."""
    return torch.frombuffer(bytearray(json.dumps(record).encode()), dtype=torch.uint8)
