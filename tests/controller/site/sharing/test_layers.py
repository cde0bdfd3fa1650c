"""The words of limits."""

from __future__ import annotations

import pytest

from controller.site.sharing.layers import Layer, by_operator, lowest


def test_the_lowest_layer_binds_and_of_equal_ones_the_first() -> None:
    chain = [Layer(32.0, "charger maximum", "charger"), Layer(16.0, "profile 1", "upstream"), Layer(16.0, "plan", "plan")]
    assert lowest(chain) is chain[1]


@pytest.mark.parametrize(
    ("source", "expected"),
    [("so", True), ("mqtt:so", True), ("mqtt:DSO_3", True), ("grid-operator", True), ("mqtt", False), ("mqtt:solar", False), ("mqtt:fleet", False)],
)
def test_the_grid_operator_is_known_by_the_first_word_of_the_sender(source: str, expected: bool) -> None:
    assert by_operator(source) is expected
