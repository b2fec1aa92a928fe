"""A local weights file: tensors only, whatever its format, and never code."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import safetensors.torch
import torch
from huggingface_hub import constants
from safetensors import SafetensorError
from torch import Tensor

from imagenet_nk.errors import BackboneError
from imagenet_nk.wording import one_line

TIMEOUT = 5.0  # seconds for a connection, and for the first byte after it
HINT = "type backbone.checkpoint=FILE for weights that you have, or backbone.pretrained=false for random ones"


def is_reachable(url: str) -> bool:
    """Whether a host answers at all within PATIENCE; any answer below 500 counts."""
    try:
        return requests.head(url, timeout=TIMEOUT, allow_redirects=False).status_code < 500
    except requests.RequestException:
        return False


@contextmanager
def hub_weights(name: str, url: str) -> Iterator[None]:
    """A block that loads the published weights of a model from `url`, or from the local cache when offline.

    Raises BackboneError, one line, when they are neither there nor to be had.
    """
    host = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" if "://" in url else constants.ENDPOINT
    was_offline, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE or not is_reachable(host)
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        if constants.HF_HUB_OFFLINE:
            raise BackboneError(
                f"backbone {name}: {host} does not answer, and its weights are not cached; {HINT}"
            ) from error
        raise BackboneError(f"backbone {name}: no weights from {host} ({one_line(error)[:200]}); {HINT}") from error
    finally:
        constants.HF_HUB_OFFLINE = was_offline


_NESTED = ("state_dict_ema", "model_ema", "state_dict", "model")  # where training scripts put the weights
_PREFIXES = ("module.", "model.", "_orig_mod.")


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name: safetensors, or torch.save with nothing but tensors in it.

    Raises BackboneError for a file that is missing, broken, or has pickled code in it.
    """
    if not path.is_file():
        raise BackboneError(f"backbone.checkpoint: there is no file {path}")
    try:
        loaded: Any = safetensors.torch.load_file(path)
    except SafetensorError:
        loaded = _unpickled(path)
    return _tensors(loaded, path)


def _unpickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BackboneError(
            f"backbone.checkpoint: {path} holds pickled code, or is no weights file, and was not opened; "
            "save it again with torch.save(model.state_dict(), FILE) or as safetensors"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise BackboneError(
            f"backbone.checkpoint: {path} is broken or no weights file ({first_line(error)})"
        ) from error


def _tensors(loaded: Any, path: Path) -> dict[str, Tensor]:
    for key in _NESTED:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    if not isinstance(loaded, Mapping) or not any(isinstance(value, Tensor) for value in loaded.values()):
        raise BackboneError(f"backbone.checkpoint: {path} holds no named tensors; give a model's state_dict")
    return {_bare(str(name)): value for name, value in loaded.items() if isinstance(value, Tensor)}


def _bare(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def first_line(error: Exception) -> str:
    """The first line of an error's text, short enough to stand in another line."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
