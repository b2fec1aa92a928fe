"""Known label orders."""

from __future__ import annotations

from imagenet_nk.classes.orders import label_orders


def test_known_orders_are_those_of_the_1000_classes_and_of_the_classes_at_hand() -> None:
    orders = label_orders(["n02119789", "n01440764"])
    assert orders["sorted from 0"][0] == orders["sorted from 1"][1] == "n01440764"
    assert orders["clsloc from 1"][1] == orders["clsloc from 0"][0] == "n02119789"
    assert orders["dense from 1"] == {1: "n01440764", 2: "n02119789"}
