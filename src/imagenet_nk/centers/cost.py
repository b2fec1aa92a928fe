"""cost.json: what a backbone costs. Kept apart from the centers, which are the same on any machine."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from imagenet_nk import storage
from imagenet_nk.centers.backbone import Backbone
from imagenet_nk.centers.embedder import Embedder

NAME = "cost.json"


def write(output: Path, embedder: Embedder) -> None:
    """Write parameters, GMACs for one image, embedding size, and images a second of this run's passes.

    `images_per_s` is null where every embedding was there from before.
    """
    facts: dict[str, Any] = {
        "backbone": embedder.built.name,
        "parameters": sum(weights.numel() for weights in embedder.built.model.parameters()),
        "gmacs": gmacs(embedder.built),
        "dim": embedder.built.dim,
        "images_per_s": embedder.embedded / embedder.seconds if embedder.seconds else None,
        "device": ", ".join(map(str, embedder.devices)),
    }
    storage.write_text(output / NAME, json.dumps(facts, indent=1) + "\n")


def gmacs(built: Backbone) -> float | None:
    """Billions of multiply-adds for one image, as PyTorch counts them: in matrix products and convolutions.

    None for a model with an operation that cannot be counted on weights without values.
    """
    try:
        with torch.device("meta"):
            image = torch.empty(1, 3, *built.input_size)
        named = itertools.chain(built.model.named_parameters(), built.model.named_buffers())
        weights = {name: tensor.to("meta") for name, tensor in named}
        with torch.inference_mode(), FlopCounterMode(display=False) as counted:
            torch.func.functional_call(built.model, weights, (image,))
    except (RuntimeError, NotImplementedError, TypeError):
        return None
    return float(counted.get_total_flops()) / 2e9
