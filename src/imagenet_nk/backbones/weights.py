"""Pretrained weights, from the hub or from a local file. A file is never allowed to run code."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests
import timm.models
from huggingface_hub import constants
from safetensors import SafetensorError
from torch import Tensor

from imagenet_nk.errors import BackboneError
from imagenet_nk.wording import one_line

TIMEOUT = 5.0  # seconds for a connection, and for the first byte after it
HINT = "type backbone.checkpoint=FILE for weights that you have, or backbone.pretrained=false for random ones"


def is_reachable(url: str) -> bool:
    """Whether a host answers within TIMEOUT with a status below 500."""
    try:
        return requests.head(url, timeout=TIMEOUT, allow_redirects=False).status_code < 500
    except requests.RequestException:
        return False


@contextmanager
def hub_weights(name: str, url: str) -> Iterator[None]:
    """A block that loads the published weights of a model from `url`, or from the local cache if the host is down.

    Raises BackboneError, one line, when neither has them.
    """
    host = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" if "://" in url else constants.ENDPOINT
    was_offline, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE or not is_reachable(host)
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        reason = f"no weights from {host} ({one_line(error)[:200]})"
        if constants.HF_HUB_OFFLINE:
            reason = f"{host} does not answer, and its weights are not cached"
        raise BackboneError(f"backbone {name}: {reason}; {HINT}") from error
    finally:
        constants.HF_HUB_OFFLINE = was_offline


_NO_MAPPING = (AttributeError, TypeError, KeyError)  # what timm meets in a file that holds something else


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name: *.safetensors, or torch.save with nothing but tensors in it.

    timm takes them out of a training checkpoint (its average if it has one) and strips what wrappers put before names.
    Raises BackboneError for a file that is missing or broken, or that holds pickled code.
    """
    if not path.is_file():
        raise BackboneError(f"backbone.checkpoint: there is no file {path}")
    try:
        state = timm.models.load_state_dict(str(path), weights_only=True)
    except (
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        OSError,
        EOFError,
        ValueError,
        *_NO_MAPPING,
    ) as error:
        raise BackboneError(
            f"backbone.checkpoint: {path} was not loaded: it is not a weights file, or holds pickled code "
            f"({one_line(error)[:160]}); save it again with torch.save(model.state_dict(), FILE) or as FILE.safetensors"
        ) from error
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise BackboneError(f"backbone.checkpoint: {path} holds no named tensors; give a model's state_dict")
    return tensors
