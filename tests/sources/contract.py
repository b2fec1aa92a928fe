"""What every source signs: one suite, subclassed by the tests of each source with a few fixtures.

    class TestFolder(SourceContract):
        @pytest.fixture
        def make(self, folder):            # gives a source that is not open yet, over the same content each time
            return lambda: Folder(root=folder)

`wnids` names at least two classes of at least `per_class` candidates each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest
import requests

from imagenet_nk.config import HttpConfig, Materialize
from imagenet_nk.net.http import Request, Response
from imagenet_nk.reasons import Rejected
from imagenet_nk.sampling.draw_order import RandomOrder, Sampling
from imagenet_nk.sources.contract import BlockingCall, Candidate, FetchedImage, Source, SourceContext

UNKNOWN = "n99999999"
SAFE_ID = re.compile(r"[A-Za-z0-9._=-]{1,200}\Z")
MANY = 60  # more candidates than any test source has distinct images


class Listed:
    """`sampling=list` for tests: the named ids, in order."""

    identity = "listed"

    def __init__(self, ids: dict[str, list[str]], seed: int = 0) -> None:
        self.ids, self.seed = ids, seed

    def arrange(self, wnid: str, image_ids: Iterable[str]) -> list[str]:
        there = set(image_ids)
        return [i for i in self.ids.get(wnid, []) if i in there]

    def listed(self, wnid: str) -> Sequence[str] | None:
        return self.ids.get(wnid, [])


def fetch(request: Request) -> Response:
    """One GET over a real connection, without retries."""
    headers = {"Accept-Encoding": "identity"}
    if request.first is not None:
        headers["Range"] = f"bytes={request.first}-{'' if request.last is None else request.last}"
    try:
        with requests.get(request.url, headers=headers, timeout=10) as answer:
            fields = {name.lower(): value for name, value in answer.headers.items()}
            too_big = request.max_bytes is not None and len(answer.content) > request.max_bytes
            body = b"" if too_big else answer.content
            return Response(
                answer.status_code, body, answer.url, "127.0.0.1", fields, fault="too_big" if too_big else ""
            )
    except requests.ConnectionError:
        return Response(0, fault="refused")
    except requests.exceptions.ChunkedEncodingError:
        return Response(0, fault="truncated")


def drive(source: Source, candidate: Candidate) -> FetchedImage | Rejected:
    """Carry out the steps of one candidate, one after the other."""
    steps = source.read(candidate)
    try:
        step = next(steps)
        while True:
            if isinstance(step, Request):
                step = steps.send(fetch(step))
                continue
            assert isinstance(step, BlockingCall)
            try:
                result = step.function()
            except Exception as error:  # noqa: BLE001  the contract: a Call's exception is thrown into the source
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as end:
        return end.value


@contextmanager
def opened(source: Source, wnids: Sequence[str], site: SourceContext) -> Iterator[Source]:
    source.open(wnids, site)
    try:
        yield source
    finally:
        source.close()


def images(source: Source, wnid: str, count: int | None = None) -> list[FetchedImage]:
    """The first `count` distinct images that a class gives, in draw order."""
    found: dict[str, FetchedImage] = {}
    for candidate in islice(source.candidates(wnid), MANY * 20):
        result = drive(source, candidate)
        if isinstance(result, FetchedImage):
            found.setdefault(result.image_id, result)
        if count is not None and len(found) == count:
            break
    return list(found.values())


class SourceContract:
    ids_known = True  # candidates' keys are image ids, so sampling.arrange gives their order
    per_class = 3

    @pytest.fixture
    def make(self) -> Callable[[], Source]:
        """Makes the source, not open yet; each call over the same content."""
        raise NotImplementedError

    @pytest.fixture
    def make_shuffled(self, make: Callable[[], Source]) -> Callable[[], Source]:
        """Makes the source over the same content in another order of lines or files, where there is such a thing."""
        return make

    @pytest.fixture
    def wnids(self) -> list[str]:
        """At least two classes of at least `per_class` candidates."""
        raise NotImplementedError

    @pytest.fixture
    def site(self, tmp_path: Path) -> Callable[..., SourceContext]:
        def make(sampling: Sampling | None = None, *, seed: int = 0, index: str = "index") -> SourceContext:
            http = HttpConfig(allow_private=True)
            return SourceContext(tmp_path / index, http, sampling or RandomOrder(seed))

        return make

    def test_source_has_a_name(self, make, wnids, site) -> None:
        with opened(make(), wnids, site()) as source:
            assert re.fullmatch(r"[a-z]+", source.name)
            assert source.terms.strip()
            assert isinstance(source.materialize, Materialize)
            assert isinstance(source.identity, str)
            assert source.identity

    def test_candidates_are_unique_and_of_the_class(self, make, wnids, site) -> None:
        with opened(make(), wnids, site()) as source:
            seen: set[str] = set()
            for wnid in wnids:
                candidates = list(islice(source.candidates(wnid), MANY))
                assert len(candidates) >= self.per_class
                assert {c.wnid for c in candidates} == {wnid}
                assert all(c.key and c.url for c in candidates)
                keys = {c.key for c in candidates}
                assert len(keys) == len(candidates)
                assert not keys & seen
                seen |= keys

    def test_unknown_class_has_no_candidates(self, make, wnids, site) -> None:
        with opened(make(), [*wnids, UNKNOWN], site()) as source:
            assert list(source.candidates(UNKNOWN)) == []

    def test_order_is_that_of_the_sampling(self, make, wnids, site) -> None:
        if not self.ids_known:
            pytest.skip("image ids are not known before they are read")
        with opened(make(), wnids, site(seed=7)) as source:
            for wnid in wnids:
                keys = [c.key for c in source.candidates(wnid)]
                assert keys == RandomOrder(7).arrange(wnid, sorted(keys))

    def test_same_seed_same_images_other_seed_other_order(self, make, make_shuffled, wnids, site) -> None:
        def order(make: Callable[[], Source], seed: int, index: str) -> list[list[str]]:
            with opened(make(), wnids, site(seed=seed, index=index)) as source:
                keys = [[c.key for c in islice(source.candidates(wnid), MANY)] for wnid in wnids if self.ids_known]
                return keys + [[found.image_id for found in images(source, wnid)] for wnid in wnids]

        first = order(make, 1, "a")
        assert order(make, 1, "a") == first, "reopened with the kept index"
        assert order(make_shuffled, 1, "b") == first, "another order of lines or files"
        # with few candidates two seeds may agree by chance, but not five
        assert any(order(make, seed, "a")[-len(wnids) :] != first[-len(wnids) :] for seed in range(2, 7))

    def test_candidates_do_not_depend_on_other_classes(self, make, wnids, site) -> None:
        def keys(only: list[str]) -> list[str]:
            with opened(make(), only, site()) as source:
                return [c.key for c in islice(source.candidates(wnids[0]), MANY)]

        assert keys(wnids) == keys(wnids[:1]) == keys(list(reversed(wnids)))

    def test_read_gives_bytes_or_a_reason(self, make, wnids, site) -> None:
        with opened(make(), wnids, site()) as source:
            ids: list[str] = []
            for wnid in wnids:
                for candidate in islice(source.candidates(wnid), MANY):
                    result = drive(source, candidate)
                    if isinstance(result, Rejected):
                        assert re.fullmatch(r"[a-z0-9_]+", result.reason)
                        continue
                    assert SAFE_ID.match(result.image_id)
                    assert isinstance(result.data, bytes)
                    assert result.data
                    if self.ids_known:
                        assert result.image_id == candidate.key
                    if result.path is not None:
                        assert result.path.read_bytes() == result.data
                    ids.append(result.image_id)
            assert len(set(ids)) == len(ids) >= self.per_class

    def test_reading_twice_gives_the_same_image(self, make, wnids, site) -> None:
        with opened(make(), wnids, site(index="a")) as source:
            candidates = list(islice(source.candidates(wnids[0]), self.per_class))
            first = [drive(source, c) for c in candidates]
        with opened(make(), wnids, site(index="b")) as source:  # as after a restart, in another order
            again = [drive(source, c) for c in reversed(candidates)][::-1]
        found = [
            (a, b)
            for a, b in zip(first, again, strict=True)
            if isinstance(a, FetchedImage) and isinstance(b, FetchedImage)
        ]
        assert found
        assert all(a.image_id == b.image_id and a.data == b.data for a, b in found)

    def test_identity_is_that_of_the_content(self, make, make_shuffled, wnids, site) -> None:
        identities = set()
        for maker, index in ((make, "a"), (make, "a"), (make, "b"), (make_shuffled, "c")):
            with opened(maker(), wnids, site(index=index)) as source:
                identities.add(source.identity)
        assert len(identities) == 1

    def test_opens_again_after_close(self, make, wnids, site) -> None:
        source = make()
        for _ in range(2):
            with opened(source, wnids, site()):
                assert len(images(source, wnids[0], 1)) == 1

    def test_listed_images_come_in_the_order_of_the_list(self, make, wnids, site) -> None:
        wnid = wnids[0]
        with opened(make(), wnids, site()) as source:
            ids = [found.image_id for found in images(source, wnid)][: self.per_class]
        wanted = [ids[-1], *ids[:-1]]
        with opened(make(), wnids, site(Listed({wnid: wanted}))) as source:
            assert [found.image_id for found in images(source, wnid)] == wanted
            assert list(source.candidates(wnids[1])) == [], "no image of the class is listed"
