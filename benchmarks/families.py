"""Does a checkpoint of every family of timm load, with its head, into exactly timm's embedding?

    python benchmarks/families.py                     # the smallest variants of each family
    python benchmarks/families.py --variants 3 --match vit

For each model: random weights, saved with the head as training code saves them (`module.` before each name), loaded
through `backbone.checkpoint`, compared with timm's num_classes=0 model over the same weights, and the head with timm's
logits. No network.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import timm
import torch
from torch import nn

from imagenet_nk.backbones.model import build
from imagenet_nk.config import BackboneConfig
from imagenet_nk.errors import BackboneError

TOLERANCE = 1e-6  # of the largest entry of the embedding


def parameters(name: str) -> int:
    """Millions of parameters, without allocating them; a large number if the model cannot be created like that."""
    try:
        with torch.device("meta"):
            return sum(tensor.numel() for tensor in timm.create_model(name).parameters()) // 10**6
    except Exception:  # noqa: BLE001 - not created on the meta device
        return 10**6


def variants(limit: int, most: int) -> Iterator[tuple[str, str]]:
    """(family, model): the `limit` smallest of each family, below `most` million parameters."""
    for family in timm.list_modules():
        sized = sorted((parameters(name), name) for name in timm.list_models(module=family))
        yield from ((family, name) for size, name in sized[:limit] if size <= most)


def randomize(model: nn.Module) -> nn.Module:
    """Give batch norms and zero-initialised layers values, so that every tensor shows in the output."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and (tensor.std() == 0 or tensor.numel() == 1):
            low = 0.5 if "var" in name or name.endswith("weight") else 0.0
            tensor.copy_(low + 0.5 * torch.rand(tensor.shape, generator=generator))
    return model.eval()


def compare(name: str, path: Path) -> dict[str, str]:
    """One line of the table."""
    torch.manual_seed(0)
    full = randomize(timm.create_model(name))
    weights = full.state_dict()
    torch.save({"state_dict": {f"module.{key}": tensor for key, tensor in weights.items()}}, path)
    try:
        built = build(BackboneConfig(name=name, pretrained=False, checkpoint=str(path)))
    except BackboneError as error:
        return {"result": f"refused: {str(error)[:150]}", "head": "-"}
    plain = timm.create_model(name, num_classes=0).eval()
    plain.load_state_dict({key: weights[key] for key in plain.state_dict() if key in weights}, strict=False)
    images = torch.rand(1, *built.data["input_size"])
    with torch.inference_mode():
        expected, given = plain(images), built.model(images)
        head = "none" if not getattr(full, "num_classes", 0) else "not separable"
        if built.head is not None:
            logits = full(images)
            gap = float((built.head(given) - logits).abs().max() / logits.abs().max())
            head = f"{built.head.out_features} outputs, {gap:.0e}"
    error = float((given - expected).abs().max() / expected.abs().max())
    return {"result": "exact" if error <= TOLERANCE else f"differs by {error:.0e}", "head": head}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--variants", type=int, default=1, help="of each family, the smallest first")
    parser.add_argument("--most", type=int, default=60, help="million parameters")
    parser.add_argument("--match", default="", help="only models with this in their name")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    counts = {"models": 0, "exact": 0, "with a head": 0}
    print("| family | model | embedding | head | s |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for family, name in variants(options.variants, options.most):
            if options.match not in name:
                continue
            began = time.monotonic()
            try:
                row = compare(name, Path(folder, "w.pt"))
            except Exception as error:  # noqa: BLE001 - a table of what does not work
                row = {"result": f"fails: {type(error).__name__}: {str(error)[:150]}", "head": "-"}
            counts["models"] += 1
            counts["exact"] += row["result"] == "exact"
            counts["with a head"] += "outputs" in row["head"]
            print(
                f"| {family} | {name} | {row['result']} | {row['head']} | {time.monotonic() - began:.1f} |", flush=True
            )
    print(", ".join(f"{count} {what}" for what, count in counts.items()))


if __name__ == "__main__":
    main()
