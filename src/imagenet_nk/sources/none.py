"""`source@fallback=none`: the source without candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imagenet_nk.config.sources import Materialize
from imagenet_nk.reasons import Reason, Rejected
from imagenet_nk.sources.contract import Candidate, CostModel, ReadSteps, SourceContext, SourceTraits


class NoSource:
    """Knows no class."""

    name = "none"
    traits = SourceTraits(cost=CostModel(success=0.0, requests=0.0))
    terms = ""
    materialize = Materialize.copy
    identity = "none"

    def open(self, wnids: Sequence[str], context: SourceContext) -> None:
        """Nothing to open."""

    def candidates(self, wnid: str) -> Iterator[Candidate]:  # noqa: ARG002
        return iter(())

    def read(self, candidate: Candidate) -> ReadSteps:  # noqa: ARG002
        yield from ()
        return Rejected(Reason.UNKNOWN)

    def close(self) -> None:
        """Nothing to close."""
