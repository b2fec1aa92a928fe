"""`source@fallback=none`: the source without candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imagenet_nk.config import Materialize
from imagenet_nk.sources.contract import Candidate, Rejected, Site, Steps, Usual


class Nothing:
    """Knows no class."""

    name = "none"
    one_place = False
    usual = Usual(success=0.0, requests=0.0)
    terms = ""
    materialize = Materialize.copy
    identity = "none"

    def open(self, wnids: Sequence[str], site: Site) -> None:
        """Nothing to open."""

    def candidates(self, wnid: str) -> Iterator[Candidate]:  # noqa: ARG002
        return iter(())

    def read(self, candidate: Candidate) -> Steps:  # noqa: ARG002
        yield from ()
        return Rejected("unknown")

    def close(self) -> None:
        """Nothing to close."""
