"""The demo's web as the collector meets it: through its own transport, guard and inspector, at their defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagenet_nk.collect.fetching.inspector import ImageInfo, Inspector
from imagenet_nk.config import HttpConfig, InspectConfig
from imagenet_nk.net.curl_transport import CurlTransport
from imagenet_nk.net.http import Request, Response
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sources.contract import Candidate, FetchedImage, SourceContext
from imagenet_nk.sources.demo.server import Fault, fault_of
from imagenet_nk.sources.demo.source import Demo

WNID = "n01440764"
REASONS = {
    Fault.good: {""},
    Fault.not_found: {"http_404"},
    Fault.gone: {"http_410"},
    Fault.refused: {"refused"},
    Fault.moved: {"placeholder"},
    Fault.placeholder: {""},  # until it is seen from many addresses
    Fault.html: {"not_image"},
    Fault.cut_short: {"truncated"},
    Fault.truncated: {"truncated", "corrupt"},
    Fault.garbled: {"corrupt", "truncated"},
    Fault.tiny: {"too_small"},
}


def fetch(transport: CurlTransport, request: Request) -> Response:
    transport.submit(request, None)
    while not (done := transport.poll(1.0)):
        pass
    return done[0][1]


def reason(demo: Demo, transport: CurlTransport, candidate: Candidate) -> str:
    steps, inspector = demo.read(candidate), Inspector(InspectConfig())
    try:
        steps.send(fetch(transport, next(steps)))
    except StopIteration as end:
        if not isinstance(end.value, FetchedImage):
            return end.value.reason
        verdict = inspector.url_verdict(end.value.final_url) or inspector.inspect(end.value.data)
        return "" if isinstance(verdict, ImageInfo) else verdict.reason
    raise AssertionError("one request is enough")


@pytest.mark.parametrize("allowed", [True, False])
def test_each_fault_gives_its_reason(allowed: bool, tmp_path: Path) -> None:
    demo = Demo(per_class=40)
    demo.open([WNID], SourceContext(tmp_path, HttpConfig(), RandomOrder(0)))
    transport = CurlTransport(HttpConfig(), demo.traits.hosts_allowed() if allowed else frozenset())
    try:
        for candidate in demo.candidates(WNID):
            kind = fault_of(WNID, int(candidate.key.rpartition("_")[2]))
            met = reason(demo, transport, candidate)
            assert met in REASONS[kind] if allowed else met == "forbidden", (kind, met)
    finally:
        transport.close()
        demo.close()
