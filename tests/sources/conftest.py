"""What several tests of sources need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest

from sources.hub_server import Hub, hub


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Hub]]:
    """Starts a hub with these files, and this card, as the data set some/set."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with ExitStack() as running:

        def serve(files: dict[str, bytes], card: Mapping[str, object] | None = None) -> Hub:
            server = running.enter_context(hub("some/set", dict(files)))
            server.card = card or {}
            monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
            return server

        yield serve
