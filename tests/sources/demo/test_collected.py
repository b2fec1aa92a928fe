"""The demo's web as the collector meets it: through its own transport, guard and inspector, at their defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagenet_nk.collect.fetching.inspector import Inspector, Picture
from imagenet_nk.config import HttpConfig, InspectConfig
from imagenet_nk.net.curl_transport import CurlTransport
from imagenet_nk.net.http import Request, Response
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sources.contract import Candidate, Found, Site
from imagenet_nk.sources.demo.server import Fate, fate
from imagenet_nk.sources.demo.source import Demo

WNID = "n01440764"
REASONS = {
    Fate.good: {""},
    Fate.not_found: {"http_404"},
    Fate.gone: {"http_410"},
    Fate.refused: {"refused"},
    Fate.moved: {"placeholder"},
    Fate.placeholder: {""},  # until it is seen from many addresses
    Fate.html: {"not_image"},
    Fate.cut_short: {"truncated"},
    Fate.truncated: {"truncated", "corrupt"},
    Fate.garbled: {"corrupt", "truncated"},
    Fate.tiny: {"too_small"},
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
        if not isinstance(end.value, Found):
            return end.value.reason
        verdict = inspector.url_verdict(end.value.final_url) or inspector.inspect(end.value.data)
        return "" if isinstance(verdict, Picture) else verdict.reason
    raise AssertionError("one request is enough")


@pytest.mark.parametrize("allowed", [True, False])
def test_each_fate_comes_to_its_reason(allowed: bool, tmp_path: Path) -> None:
    demo = Demo(per_class=40)
    demo.open([WNID], Site(tmp_path, HttpConfig(), RandomOrder(0)))
    transport = CurlTransport(HttpConfig(), demo.hosts_allowed if allowed else frozenset())
    try:
        for candidate in demo.candidates(WNID):
            kind = fate(WNID, int(candidate.key.rpartition("_")[2]))
            met = reason(demo, transport, candidate)
            assert met in REASONS[kind] if allowed else met == "forbidden", (kind, met)
    finally:
        transport.close()
        demo.close()
