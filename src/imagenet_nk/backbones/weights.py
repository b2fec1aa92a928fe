"""Published weights: errors of the hub, told apart in one line each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from safetensors import SafetensorError

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

    url: an address, or the id of a model on the Hugging Face hub. Raises BackboneError, one line, when neither has
    them, or when they do not fit.
    """
    host = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" if "://" in url else constants.ENDPOINT
    was_offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = was_offline or not is_reachable(host)
    try:
        yield
    except (OSError, RuntimeError, ValueError, SafetensorError, AssertionError) as error:
        offline = "HF_HUB_OFFLINE is set" if was_offline else f"{host} does not answer"
        reason = _reason(error, host, url, offline if constants.HF_HUB_OFFLINE else "")
        raise BackboneError(f"backbone {name}: {reason}; {HINT}") from error
    finally:
        constants.HF_HUB_OFFLINE = was_offline


def _reason(error: Exception, host: str, url: str, offline: str) -> str:
    """Why there are no weights. offline: why the host is not asked, empty if it is."""
    text = one_line(error)[:200]
    if isinstance(error, RuntimeError) and "loading state_dict" in text:
        return f"the published weights of {url} do not fit ({text})"
    if isinstance(error, SafetensorError):
        return f"the cached weights of {url} are damaged, remove them from {constants.HF_HUB_CACHE} ({text})"
    if offline and (isinstance(error, LocalEntryNotFoundError) or "://" in url):
        return f"{offline}, and its weights are not cached"
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        return f"{host} has no model {url}, or it is private and needs a login (hf auth login)"
    if isinstance(error, EntryNotFoundError):
        return f"{url} on {host} has no configuration or weights of timm"
    return f"no weights from {host} ({text})"
