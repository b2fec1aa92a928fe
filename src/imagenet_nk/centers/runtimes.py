"""Ways to run a model on a batch of crops."""

from __future__ import annotations

import numpy as np
import torch

from imagenet_nk.centers.backbone import Backbone
from imagenet_nk.centers.lanes import Floats, Forward
from imagenet_nk.centers.pixels import Pixels, normaliser


def eager(backbone: Backbone, device: torch.device) -> Forward:
    """PyTorch as it is, float32."""
    model = backbone.model.to(device)
    normalise = normaliser(backbone.data)

    def forward(crops_BHW3: Pixels) -> Floats:
        with torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(crops_BHW3.transpose(0, 3, 1, 2)))
            out: torch.Tensor = model(normalise(pixels.to(device)))
            return out.float().cpu().numpy()

    return forward
