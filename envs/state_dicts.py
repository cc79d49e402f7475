"""State dictionaries inside state dictionaries: the names of a part begin with the part's name and a dot."""

import torch

Tensors = dict[str, torch.Tensor]


def prefixed(prefix: str, tensors: Tensors) -> Tensors:
    """The same tensors with `prefix.` before their names."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Tensors) -> Tensors:
    """The tensors named `prefix.*`, without the prefix."""
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
