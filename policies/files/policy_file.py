"""`policy.safetensors`: the actor and critic of a training, from which training goes on, here or on another robot."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.state_dicts import Tensors
from policies.files import checkpoint
from policies.networks import ActorCritic
from policies.skill import SkillCard

KIND = "policy"
NAMED = ("robot", "model_hash", "task", "privileged", "history", "frame_width", "num_joints", "env_steps")
"""Of a skill's card: what the policy is of."""


@dataclass(frozen=True, kw_only=True)
class PolicyFile:
    """What such a file holds; what older files do not tell is None."""

    weights: Tensors
    """Of an `ActorCritic`."""
    hidden: tuple[int, ...]
    activation: str
    privileged: bool
    """Whether the actor reads what hardware cannot measure."""
    robot: str | None = None
    model_hash: str | None = None
    task: str | None = None


def save_policy(path: Path, policy: ActorCritic, card: SkillCard) -> None:
    """Write a trained policy, whose acting half `card` describes."""
    shape: dict[str, Any] = {"hidden": list(policy.hidden), "activation": policy.activation}
    write(path, dict(policy.state_dict()), shape | {name: getattr(card, name) for name in NAMED})


def write(path: Path, weights: Tensors, record: dict[str, Any]) -> None:
    """Write a policy's weights with a record of what it is."""
    checkpoint.save(path, weights, {"kind": KIND} | record)


def load_policy(path: Path) -> PolicyFile:
    """Read a policy.

    Raises:
        FileNotFoundError: there is none.
        ValueError: damaged, of an unknown schema, or no policy.
    """
    weights, record = checkpoint.load(path)
    if record.get("kind") != KIND:
        raise ValueError(f"{path} must hold a policy, got a file of kind {record.get('kind')!r}")
    return PolicyFile(
        weights=weights,
        hidden=tuple(record["hidden"]),
        activation=record["activation"],
        privileged=record["privileged"],
        robot=record.get("robot"),
        model_hash=record.get("model_hash"),
        task=record.get("task"),
    )
