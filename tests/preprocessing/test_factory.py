"""The choice of a preprocessor."""

from __future__ import annotations

import pytest
import torch

from imagenet_nk.errors import BackboneError
from imagenet_nk.preprocessing.factory import make_preprocessor, open_loader
from small_models import DATA


@pytest.mark.parametrize("backend", ["timm", "torch"])
def test_loader_reads_and_stacks_images(backend, entries):
    images = [path for path, _ in entries[:3]]
    with open_loader(make_preprocessor(DATA, backend, [torch.device("cpu")]), images) as (preprocess, collate):
        assert collate([preprocess(path) for path in images]).shape == (3, 96, 96, 3)


def test_several_gpus_with_the_gpu_decoder_are_refused():
    with pytest.raises(BackboneError, match="one GPU per process"):
        make_preprocessor(DATA, "gpu", [torch.device("cuda", 0), torch.device("cuda", 1)])
