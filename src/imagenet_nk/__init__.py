"""N_k images of each ImageNet class, list files over them, and class centers under any timm backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagenet_nk.centers.file import Centers as Centers
    from imagenet_nk.centers.file import load_centers as load_centers

__version__ = "0.1.0"

_LAZY = {  # what needs numpy or torch is imported at its first use
    "Centers": "imagenet_nk.centers.file",
    "load_centers": "imagenet_nk.centers.file",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
