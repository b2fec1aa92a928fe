"""The settings of backbones, centers and evaluation."""

from __future__ import annotations

import pytest

from imagenet_nk.config.backbones import BackboneConfig, EvaluateConfig
from imagenet_nk.errors import ConfigError


@pytest.mark.parametrize(
    ("config", "values", "message"),
    [
        (BackboneConfig, {"batch_size": 0}, "backbone.batch_size must be at least 1, got 0"),
        (BackboneConfig, {"threads": -1}, "backbone.threads must be at least 0, got -1"),
        (BackboneConfig, {"models": ["resnet18"], "checkpoint": "w.pt"}, "not backbone.checkpoint"),
        (EvaluateConfig, {"heads": ["svm"]}, "evaluate.heads: no classifier 'svm'; there are: ncm, knn, ridge"),
        (EvaluateConfig, {"heads": []}, "evaluate.heads is empty; choose from"),
        (EvaluateConfig, {"shots": [1, 0]}, "evaluate.shots must be at least 1 image of each class, got 0"),
        (EvaluateConfig, {"test_fraction": 1.0}, "evaluate.test_fraction must lie between 0 and 1, got 1.0"),
    ],
)
def test_value_out_of_range_is_refused_by_name(config, values, message):
    with pytest.raises(ConfigError, match=message):
        config(**values)


def test_unset_values_are_accepted():
    assert BackboneConfig(name="resnet18", batch_size=None, threads=0).models == []
