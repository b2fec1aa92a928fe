from __future__ import annotations

import pytest

from imagenet_nk.errors import ConfigError
from imagenet_nk.trackers.base import RunRecord, require


def test_figures_are_the_numbers_and_no_more(run: RunRecord) -> None:
    assert run.figures() == {"classes": 2.0, "ncm/cosine/top1": 0.75, "cost/gmacs": 1.8, "seconds/collect": 3.5}


def test_parameters_are_the_configuration_by_dotted_key(run: RunRecord) -> None:
    assert run.parameters() == {
        "nk": "10",
        "source.list": "['a', 'b']",
        "backbone.name": "resnet18",
        "backbone.checkpoint": "None",
    }


def test_a_missing_package_is_one_line_with_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"tracker=mlflow needs the package no_such: pip install 'imagenet-nk\[ml"):
        require("no_such", "mlflow")
