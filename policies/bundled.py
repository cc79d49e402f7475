"""From a bundle back to a skill: weights by their names, the card from the contract.

A bundle knows the actor and what it reads, nothing of the critic; a skill made of one can be evaluated, exported,
rehearsed, viewed and trained further.
"""

from typing import Any

import torch
from torch import nn

from envs.randomization import Randomization
from policies.bundle import Bundle, BundleError
from policies.skill import Skill, SkillCard, terms_of
from robots.records import decode


def skill_of_bundle(bundle: Bundle) -> Skill:
    """The skill that was frozen in `bundle`, on its robot as it is today.

    Raises:
        LookupError: there is no robot or task of that name here.
        BundleError: the weights are none of a skill, or the robot's observation has other terms today.
    """
    card = card_of_bundle(bundle)
    terms = terms_of(card.robot, card.task)
    own = [(term.name, term.width) for term in bundle.contract.observations]
    today = [(term.name, term.width) for term in terms][: len(own)]
    if own != today:
        raise BundleError(
            f"the bundle of {card.robot} reads {_listed(own)}, task {card.task!r} gives {_listed(today)} today; "
            "train and export again"
        )
    skill = Skill.blank(card, terms)
    _fill(skill, {name: torch.from_numpy(value.copy()) for name, value in bundle.weights.items()})
    return skill.requires_grad_(False)


def card_of_bundle(bundle: Bundle) -> SkillCard:
    """What a bundle says about its skill."""
    contract, weights = bundle.contract, bundle.weights
    layers = sum(name.startswith("actor.") and name.endswith(".weight") for name in weights)
    latent = "encoder.head.weight"
    return SkillCard(
        robot=contract.robot,
        model_hash=contract.model_hash,
        task=contract.task,
        privileged=False,
        history=contract.history,
        frame_width=contract.frame_width,
        hidden=tuple(len(weights[f"actor.{index}.bias"]) for index in range(layers - 1)),
        num_joints=contract.num_joints,
        randomization=_randomization(contract.provenance),
        env_steps=int(contract.provenance.get("env_steps", 0)),
        architecture=contract.architecture,
        memory=contract.memory,
        latent=len(weights[latent]) if latent in weights else 0,
        activation=contract.activation,
    )


def _randomization(provenance: dict[str, Any]) -> Randomization:
    told = provenance.get("randomization")
    return decode(Randomization, told, "provenance.randomization") if told else Randomization()


def _fill(skill: Skill, weights: dict[str, torch.Tensor]) -> None:
    linear = [layer for layer in skill.actor if isinstance(layer, nn.Linear)]
    places: dict[str, torch.Tensor] = {
        name: value
        for name, value in skill.state_dict().items()
        if name.startswith(("encoder.", "normalizer.")) and name != "normalizer.count"
    }
    for index, layer in enumerate(linear):
        places |= {f"actor.{index}.weight": layer.weight, f"actor.{index}.bias": layer.bias}
    wrong = [name for name in {*places, *weights} if _shape(places, name) != _shape(weights, name)]
    if wrong:
        name = min(wrong)
        raise BundleError(
            f"weights of the bundle do not make a skill: {name} has shape {_shape(weights, name)}, contract and other "
            f"weights ask for {_shape(places, name)}; export it again"
        )
    with torch.no_grad():
        for name, place in places.items():
            place.copy_(weights[name])


def _shape(tensors: dict[str, torch.Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(tensors[name].shape) if name in tensors else None


def _listed(terms: list[tuple[str, int]]) -> str:
    return ", ".join(f"{name} ({width})" for name, width in terms)
