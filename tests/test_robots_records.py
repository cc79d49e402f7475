"""Frozen dataclasses as JSON: exact floats, strict keys, errors that name their place."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from robots.records import decode, encode, nearest


@dataclass(frozen=True, kw_only=True)
class Wheel:
    radius: float
    kind: Literal["round", "oval"] = "round"

    def __post_init__(self) -> None:
        if self.radius <= 0.0:
            raise ValueError(f"radius must be > 0, got {self.radius}")


@dataclass(frozen=True, kw_only=True)
class Cart:
    wheels: tuple[Wheel, ...]
    size: tuple[float, float] = (1.0, 2.0)
    owner: str | None = None
    seats: int = 2
    open: bool = True
    manual: Path = Path("manual.txt")
    notes: dict[str, str] = field(default_factory=dict)


def test_a_record_survives_json_at_full_precision():
    cart = Cart(wheels=(Wheel(radius=0.1 + 0.2), Wheel(radius=1e-17, kind="oval")), notes={"a": "b"})
    assert decode(Cart, json.loads(json.dumps(encode(cart)))) == cart


def test_whole_numbers_are_numbers_but_not_the_other_way_round():
    assert decode(Wheel, {"radius": 1}).radius == 1.0
    with pytest.raises(ValueError, match=r"Cart\.seats: expected a whole number, got 2\.5"):
        decode(Cart, {"wheels": [], "seats": 2.5})


def test_true_is_no_number():
    with pytest.raises(ValueError, match=r"Wheel\.radius: expected a number, got True"):
        decode(Wheel, {"radius": True})


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(ValueError, match=r"cart\.json\.wheels\[0\]: unknown key 'radios', did you mean 'radius'\?"):
        decode(Cart, {"wheels": [{"radios": 1.0}]}, where="cart.json")


def test_a_missing_key_is_named():
    with pytest.raises(ValueError, match="Cart: missing wheels"):
        decode(Cart, {})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"wheels": {}}, r"Cart\.wheels: expected a list"),
        ({"wheels": [3]}, r"Cart\.wheels\[0\]: expected a mapping of Wheel, got 3"),
        ({"wheels": [], "size": [1.0]}, r"Cart\.size: expected 2 values"),
        ({"wheels": [], "owner": 4}, r"Cart\.owner: expected text, got 4"),
        ({"wheels": [], "open": "yes"}, r"Cart\.open: expected true or false, got 'yes'"),
        ({"wheels": [{"radius": 1, "kind": "square"}]}, r"kind: expected one of round, oval, got 'square'"),
        ({"wheels": [{"radius": -1}]}, r"Cart\.wheels\[0\]: radius must be > 0, got -1\.0"),
        ({"wheels": [], "notes": []}, r"Cart\.notes: expected a mapping"),
    ],
)
def test_a_wrong_value_names_its_place(data, message):
    with pytest.raises(ValueError, match=message):
        decode(Cart, data)


def test_nearest_says_nothing_when_nothing_is_near():
    assert nearest("gear", ["gears", "wheel"]) == ", did you mean 'gears'?"
    assert nearest("xyz", ["gears", "wheel"]) == ""
