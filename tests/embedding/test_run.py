"""The backbones of a run."""

from __future__ import annotations

import dataclasses

import pytest

from imagenet_nk.config import BackboneConfig
from imagenet_nk.embedding.run import EmbeddingConfig, make_runs
from imagenet_nk.errors import ConfigError


def test_each_of_several_models_gets_a_folder_of_its_own(tiny, tmp_path):
    names = ["test_resnet", "test_vit"]
    runs = make_runs(EmbeddingConfig(dataclasses.replace(tiny, models=names)), tmp_path)
    assert [run.output for run in runs] == [tmp_path / name for name in names]
    assert [run.plan.backbone.name for run in runs] == names


def test_random_weights_are_logged(tiny, tmp_path, caplog):
    make_runs(EmbeddingConfig(tiny, seed=3), tmp_path)
    assert "random weights (random:3): results are meaningless" in caplog.text


def test_a_checkpoint_goes_with_one_backbone_only():
    with pytest.raises(ConfigError, match="not backbone"):
        BackboneConfig(name="a", models=["a", "b"], checkpoint="w.pt")
