"""One small member of each of 30 families of timm makes centers, with random weights and its own input size."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from imagenet_nk.config import BackboneConfig
from imagenet_nk.embedding.run import EmbeddingConfig
from small_models import compute, label_map

FAMILIES = {  # model, img_size where the model takes any: the test is about form, not about pixels
    "byobnet": ("mobileone_s0", 64),
    "convmixer": ("convmixer_768_32", 32),
    "convnext": ("convnext_atto", 64),
    "cspnet": ("darknetaa53", 64),
    "deit": ("deit_tiny_patch16_224", 64),
    "densenet": ("densenet121", 64),
    "dla": ("dla46x_c", 64),
    "dpn": ("dpn48b", 64),
    "edgenext": ("edgenext_xx_small", 64),
    "efficientformer": ("efficientformerv2_s0", None),
    "efficientnet": ("efficientnet_b0", 64),
    "fastvit": ("fastvit_t8", 64),
    "ghostnet": ("ghostnet_050", 64),
    "hardcorenas": ("hardcorenas_a", 64),
    "inception_next": ("inception_next_atto", 64),
    "levit": ("levit_128s", None),
    "mobilenetv3": ("mobilenetv3_small_050", 64),
    "mobilevit": ("mobilevit_xxs", 64),
    "nfnet": ("dm_nfnet_f0", 32),
    "pit": ("pit_ti_224", None),
    "poolformer": ("poolformer_s12", 64),
    "regnet": ("regnetx_002", 64),
    "repvit": ("repvit_m0_9", 64),
    "resnet": ("resnet10t", 64),
    "rexnet": ("rexnetr_100", 64),
    "starnet": ("starnet_s050", 64),
    "swin": ("swin_s3_tiny_224", None),
    "tiny_vit": ("tiny_vit_5m_224", None),
    "tinynet": ("tinynet_e", 64),
    "vit": ("vit_tiny_patch16_224", 64),
    "xcit": ("xcit_nano_12_p16_224", 64),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_family_makes_centers(family, entries, tmp_path):
    name, size = FAMILIES[family]
    config = BackboneConfig(name=name, pretrained=False, device="cpu", img_size=size, threads=0)
    chosen = [entries[0], entries[2]]
    made = compute(chosen, label_map(5), EmbeddingConfig(config), tmp_path)
    torch.manual_seed(0)
    dim = timm.create_model(name, num_classes=0).num_features
    assert made.centers.shape[0] == 2
    assert np.isfinite(made.centers).all()
    assert np.abs(made.centers).max() > 0
    assert made.counts.tolist() == [1, 1]
    assert made.centers.shape[1] >= dim // 2
