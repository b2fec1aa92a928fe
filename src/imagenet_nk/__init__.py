"""N_k images of each ImageNet class, list files over them, and class centers under any timm backbone."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagenet_nk.centers.file import Centers as Centers
    from imagenet_nk.centers.file import load_centers as load_centers
    from imagenet_nk.evaluation.api import evaluate as evaluate
    from imagenet_nk.lists.torch_dataset import ImageList as ImageList

from imagenet_nk.version import __version__ as __version__

# What a user's own code takes from here, and the module that has it: imported when asked for, for torch loads slowly.
_HOME = {
    "Centers": "centers.file",
    "evaluate": "evaluation.api",
    "load_centers": "centers.file",
    "ImageList": "lists.torch_dataset",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
