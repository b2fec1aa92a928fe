"""Images and models for these tests."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file

from small_models import TINY, entries, tiny  # noqa: F401 - fixtures


@pytest.fixture
def infinite_checkpoint(tmp_path):
    """Weights under which every embedding is infinite."""
    weights = {name: tensor.clone() for name, tensor in timm.create_model(TINY).state_dict().items()}
    name = [name for name in weights if name.endswith("weight") and not name.startswith("fc")][-1]
    weights[name] = torch.full_like(weights[name], torch.inf)
    save_file(weights, tmp_path / "infinite.safetensors")
    return tmp_path / "infinite.safetensors"
