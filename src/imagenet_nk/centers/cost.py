"""cost.json: what a backbone costs. Kept apart from the centers, which are the same on any machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imagenet_nk.embedding.embedder import Embedder
from imagenet_nk.storage import files

NAME = "cost.json"


def write(output: Path, embedder: Embedder) -> None:
    """Write parameters, GMACs for one image, embedding size, and images a second of this run's passes.

    `images_per_s` is null where every embedding was there from before.
    """
    facts: dict[str, Any] = {
        "backbone": embedder.built.name,
        "parameters": sum(weights.numel() for weights in embedder.built.model.parameters()),
        "gmacs": embedder.built.gmacs,
        "dim": embedder.built.dim,
        "images_per_s": embedder.embedded / embedder.seconds if embedder.seconds else None,
        "device": ", ".join(map(str, embedder.devices)),
    }
    files.write_text(output / NAME, json.dumps(facts, indent=1) + "\n")
