"""`source=archive`: some images of each class out of tars that are too large to fetch, by reading pieces of them.

The k-th draw of a class is the member that starts at or after the k-th position drawn from (seed, wnid, k) within its
tar; past the last member comes the first. A member is drawn in proportion to the size of its neighbour before it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from itertools import count

import requests

from imagenet_nk.config import Materialize
from imagenet_nk.errors import SourceError
from imagenet_nk.image_ids import image_id
from imagenet_nk.net.guarded_session import open_session
from imagenet_nk.reasons import Reason
from imagenet_nk.sampling.draw_order import draw
from imagenet_nk.sources.archive.member_map import Member
from imagenet_nk.sources.archive.opening import THREADS, OpenArchive, open_synsets, open_train, open_val
from imagenet_nk.sources.archive.tar_reader import MemberReading, TarReader
from imagenet_nk.sources.archive.tar_stream import BATCH, MOST_OPEN
from imagenet_nk.sources.contract import (
    UNLISTED_KEY,
    BlockingCall,
    Candidate,
    CostModel,
    FetchedImage,
    ReadSteps,
    Rejected,
    SourceContext,
    SourceTraits,
    candidates_in_order,
)

log = logging.getLogger(__name__)

_MOST_DRAWS = 1 << 18  # a second of drawing, and 200 draws for each member of the largest class
_OTHER_WNID = re.compile(r"n\d{8}(?=_)")


class DrawRegistry:
    """Which draw has met a member first; the first draw keeps it, whenever it is read."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}  # number of the draw by offset of the member

    def note(self, k: int, member: Member) -> None:
        """The k-th draw has met a member."""
        self._first[member.start] = min(k, self._first.get(member.start, k))

    def again(self, k: int, member: Member) -> bool:
        """Whether a draw before the k-th is known to have met the same member."""
        return self._first.get(member.start, k) < k


class Archive:
    """Reads the official tars, or one tar a class, by HTTP Range or from this machine."""

    name = "archive"
    materialize = Materialize.copy
    terms = (
        "The images are members of the archives of ILSVRC2012 or ImageNet named in the manifest's column url. ImageNet "
        "does not own their copyright; its terms of access (https://image-net.org/download) allow non-commercial "
        "research and education only."
    )

    def __init__(
        self, train: str | None = None, val: str | None = None, devkit: str | None = None, synset: str | None = None
    ) -> None:
        """`synset` (a template with {wnid}) goes before `val` (with its `devkit`), and that before `train`."""
        self._train, self._val, self._devkit, self._synset = train, val, devkit, synset
        self.traits = SourceTraits(
            single_origin=True, cost=CostModel(success=0.97, requests=1.8, bytes=2.2), clear_index=self._clear_index
        )
        self._opened: OpenArchive | None = None

    @property
    def identity(self) -> str:
        return self._there.identity

    def open(self, wnids: Sequence[str], site: SourceContext) -> None:
        self._site = site
        self._draws: dict[str, DrawRegistry] = {}
        web = open_session(site.http, max(THREADS, MOST_OPEN))
        try:
            self._opened = self._open(wnids, site, web)
        except BaseException:
            web.close()
            raise

    def _open(self, wnids: Sequence[str], site: SourceContext, web: requests.Session) -> OpenArchive:
        if self._synset:
            return open_synsets(self._synset, wnids, site, web)
        if self._val and self._devkit:
            return open_val(self._val, self._devkit, wnids, site, web)
        if self._train:
            return open_train(self._train, wnids, site, web)
        raise SourceError("source=archive needs source.train=TAR, source.synset=TEMPLATE, or source.val= and .devkit=")

    @property
    def _there(self) -> OpenArchive:
        if self._opened is None:
            raise SourceError("the archive is not open; call open() first")
        return self._opened

    def candidates(self, wnid: str) -> Iterator[Candidate]:
        there, sampling = self._there, self._site.sampling
        url = there.url(wnid)
        listed = sampling.listed(wnid)
        if wnid in there.images:  # ids are known beforehand
            yield from candidates_in_order(sampling, wnid, {image_id(wnid, stem): url for stem in there.images[wnid]})
        elif wnid in there.streamed or wnid in there.spans:
            if listed is not None:
                yield from (Candidate(key, wnid, url) for key in listed)
            elif wnid in there.streamed:
                yield from self._batched(wnid, url)
            else:
                yield from self._drawn(wnid, url, there.spans[wnid])
                if there.spans[wnid].is_cut:
                    log.warning(
                        "%s: the tar of %s has no end: it is cut short, and may have had more images", url, wnid
                    )
                    yield Candidate(f"{wnid}{UNLISTED_KEY}", wnid, url)

    def _drawn(self, wnid: str, url: str, span: TarReader) -> Iterator[Candidate]:
        """Draws whose member is not known to have been drawn; ends when all members have been."""
        draws = self._draws.setdefault(wnid, DrawRegistry())
        met: set[int] = set()
        unsettled: list[tuple[int, int]] = []
        for k in range(_MOST_DRAWS):
            unsettled.append((k, self._position(wnid, k, span)))
            found, settled = None, []
            for number, position in unsettled:
                found = span.known.seek(position)
                if isinstance(found, Member):
                    draws.note(number, found)
                    met.add(found.start)
                    settled.append((number, position))
            unsettled = [draw for draw in unsettled if draw not in settled]
            if found is None:
                return
            if not (isinstance(found, Member) and draws.again(k, found)):
                yield Candidate(f"{wnid}#{k}", wnid, url, k)
            if span.known.complete and met.issuperset(span.known.starts):
                return
        for k, member in enumerate(span.known.members, start=_MOST_DRAWS):
            if member.start not in met:  # behind a neighbour so small that no draw has met it
                yield Candidate(f"{wnid}@{member.start}", wnid, url, k)

    def _position(self, wnid: str, k: int, span: TarReader) -> int:
        return draw(self._site.sampling.seed, wnid, k) * span.known.length >> 64

    def _batched(self, wnid: str, url: str) -> Iterator[Candidate]:
        """Stream order, but for the draw within each batch; ends when the stream is known to have ended."""
        for k in count():
            if k >= self._there.ends.get(wnid, k + 1):
                return
            yield Candidate(f"{wnid}~{k}", wnid, url)

    def read(self, candidate: Candidate) -> ReadSteps:
        there, wnid = self._there, candidate.wnid
        if not candidate.url:
            return Rejected(Reason.MISSING)
        if candidate.key.endswith(UNLISTED_KEY):
            return Rejected(Reason.UNLISTED, detail="the tar is cut short")
        if wnid in there.streamed:
            found = yield BlockingCall(lambda: self._from_stream(candidate))
        else:
            try:
                found = yield from self._from_span(candidate, there.spans[wnid])
            except SourceError as error:
                there.doubt(wnid, error)
                raise
        if isinstance(found, Rejected):
            return found
        member, data = found
        stem = member.stem or ""
        other = _OTHER_WNID.match(stem)
        if other and other[0] != wnid:
            return Rejected(Reason.WRONG_CLASS, detail=f"{stem} in the tar of {wnid}")
        return FetchedImage(image_id(wnid, stem), data, there.address(wnid, member))

    def _from_span(self, candidate: Candidate, span: TarReader) -> MemberReading:
        wnid, key = candidate.wnid, candidate.key
        if k := key.partition("#")[2]:
            draws = self._draws.setdefault(wnid, DrawRegistry())

            def refuse(member: Member) -> bool:
                draws.note(int(k), member)
                return draws.again(int(k), member)

            return (yield from span.at(self._position(wnid, int(k), span), refuse))
        if start := key.partition("@")[2]:
            return (yield from span.at(int(start)))
        return (yield from span.named(key.removeprefix(f"{wnid}_") if wnid in self._there.images else key))

    def _from_stream(self, candidate: Candidate) -> tuple[Member, bytes] | Rejected:
        wnid, k = candidate.wnid, candidate.key.partition("~")[2]
        stream = self._there.streams.get(candidate.url)
        if not k:
            key = candidate.key
            return stream.find(lambda m: image_id(wnid, m.stem or "") == key) or Rejected(Reason.MISSING)
        number, place = divmod(int(k), BATCH)
        batch = stream.batch(number)
        if len(batch) < BATCH:
            self._there.ends[wnid] = number * BATCH + len(batch)
        seed = self._site.sampling.seed
        batch = sorted(batch, key=lambda pair: (draw(seed, wnid, pair[0].stem), pair[0].start))
        return batch[place] if place < len(batch) else Rejected(Reason.PAST_END)

    def _clear_index(self) -> None:
        """Keep nothing for the next run of what was seen so far: not all of it can be true."""
        if self._opened is not None:
            self._opened.index.forget()

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None
