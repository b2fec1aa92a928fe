"""Whether published weights can be had: asked once and briefly, where the hub's client would retry for a minute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
from huggingface_hub import constants

from imagenet_nk.errors import BackboneError

PATIENCE = 5.0  # seconds for a connection, and for the first byte after it
INSTEAD = "type backbone.checkpoint=FILE for weights that you have, or backbone.pretrained=false for random ones"


def reachable(url: str) -> bool:
    """Whether a host answers at all within PATIENCE; any answer below 500 counts."""
    try:
        return requests.head(url, timeout=PATIENCE, allow_redirects=False).status_code < 500
    except requests.RequestException:
        return False


@contextmanager
def weights_of(name: str, url: str) -> Iterator[None]:
    """A block that loads the published weights of a model from `url`, or from the local cache when offline.

    Raises BackboneError, one line, when they are neither there nor to be had.
    """
    host = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" if "://" in url else constants.ENDPOINT
    was_offline, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE or not reachable(host)
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        if constants.HF_HUB_OFFLINE:
            raise BackboneError(
                f"backbone {name}: {host} does not answer, and its weights are not cached; {INSTEAD}"
            ) from error
        raise BackboneError(
            f"backbone {name}: no weights from {host} ({' '.join(str(error).split())[:200]}); {INSTEAD}"
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = was_offline
