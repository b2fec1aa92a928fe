"""cost.json: what a backbone costs. A file of its own, because the centers are the same on any machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imagenet_nk.embedding.embeddings import Embeddings
from imagenet_nk.storage import files

NAME = "cost.json"


def write(output: Path, embeddings: Embeddings) -> None:
    """Write parameters, GMACs for one image, embedding size, and images a second of this run.

    `images_per_s` is null if no image was embedded, or if several backbones shared the time.
    """
    backbone = embeddings.plan.backbone
    cost: dict[str, Any] = {
        "backbone": backbone.name,
        "parameters": sum(weights.numel() for weights in backbone.model.parameters()),
        "gmacs": backbone.gmacs,
        "dim": backbone.dim,
        "images_per_s": embeddings.embedded / embeddings.seconds if embeddings.seconds else None,
        "device": ", ".join(map(str, embeddings.plan.devices)),
    }
    files.write_text(output / NAME, json.dumps(cost, indent=1) + "\n")
