"""`source=demo`: drawn pictures from a web inside this process; the way to see the program work without a network."""

from __future__ import annotations

import logging
import re
from collections.abc import Generator, Iterator, Sequence

from imagenet_nk.config.sources import Materialize
from imagenet_nk.errors import SourceError
from imagenet_nk.net.http import Request, Response
from imagenet_nk.reasons import Reason, Rejected
from imagenet_nk.sampling.draw_order import Sampling
from imagenet_nk.sources.contract import Candidate, CostModel, FetchedImage, SourceContext, SourceTraits, rejection
from imagenet_nk.sources.demo import pictures
from imagenet_nk.sources.demo.server import DemoServer, Fault, fault_of

log = logging.getLogger(__name__)

_KEY = re.compile(r"(n[0-9]{8})_(0|[1-9][0-9]{0,17})\Z")


class Demo:
    """`per_class` addresses for any class, about half of them good.

    The server's port is another one in every run. So that ledger and manifest are the same every time, addresses there
    are demo://pictures/<wnid>/<serial>.jpg, and demo://nowhere/... where nobody listens.
    """

    name = "demo"
    materialize = Materialize.copy
    terms = (
        "These images are drawn by the program itself, for trying it out. They are not photographs, they are not\n"
        "ImageNet's, and they show nothing of the classes whose names they bear. No terms apply to them.\n"
    )

    def __init__(self, per_class: int = 36) -> None:
        self.per_class = per_class
        self.traits = SourceTraits(cost=CostModel(success=0.6), hosts_allowed=self._hosts_allowed)
        self._server: DemoServer | None = None
        self._wnids: frozenset[str] = frozenset()  # of the opened classes
        self._sampling: Sampling | None = None

    @property
    def identity(self) -> str:
        return f"demo:{pictures.VERSION}:{self.per_class}"

    def _hosts_allowed(self) -> frozenset[str]:
        """host:port of loopback addresses that this source may ask although the guard bars such; none unless open."""
        return frozenset({self._server.host, self._server.dead_host}) if self._server else frozenset()

    def open(self, wnids: Sequence[str], context: SourceContext) -> None:
        """Start the server. Raises SourceError if no loopback port can be had."""
        self.close()
        try:
            self._server = DemoServer()
        except OSError as error:
            raise SourceError(f"the demo's server cannot listen on 127.0.0.1: {error.strerror}") from error
        self._wnids, self._sampling = frozenset(wnids), context.sampling
        log.info(
            "source=demo: pictures drawn by this program, not ImageNet photographs; %d addresses for each of %d "
            "classes, about half of them dead or broken on purpose",
            self.per_class,
            len(wnids),
        )

    def candidates(self, wnid: str) -> Iterator[Candidate]:
        if self._sampling is None or wnid not in self._wnids:
            return
        for image_id in self._sampling.arrange(wnid, (f"{wnid}_{serial}" for serial in range(self.per_class))):
            serial = int(image_id.rpartition("_")[2])
            host = "nowhere" if fault_of(wnid, serial) is Fault.refused else "pictures"
            yield Candidate(image_id, wnid, f"demo://{host}/{wnid}/{serial}.jpg")

    def read(self, candidate: Candidate) -> Generator[Request, Response, FetchedImage | Rejected]:
        match = _KEY.match(candidate.key)
        if self._server is None or not match or match[1] not in self._wnids or int(match[2]) >= self.per_class:
            return Rejected(Reason.UNKNOWN)
        dead = fault_of(match[1], int(match[2])) is Fault.refused
        host = self._server.dead_host if dead else self._server.host
        response = yield Request(f"http://{host}/{match[1]}/{match[2]}.jpg")
        if rejected := rejection(response):
            return rejected
        final_url = response.final_url.replace(f"http://{self._server.host}/", "demo://pictures/")
        return FetchedImage(candidate.key, response.body, final_url)

    def close(self) -> None:
        """Stop the server."""
        if self._server is not None:
            self._server.close()
        self._server, self._wnids, self._sampling = None, frozenset(), None
