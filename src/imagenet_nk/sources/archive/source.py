"""`source=archive`: some images of each class from tars that are too large to fetch, by reading pieces of them.

The k-th draw of a class is the member that starts at or after the position drawn from (seed, wnid, k) within its tar;
behind the last member follows the first. A member is drawn in proportion to the size of the member before it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from itertools import count

from imagenet_nk.config.sources import Materialize
from imagenet_nk.errors import SourceError
from imagenet_nk.image_ids import image_id
from imagenet_nk.reasons import Reason, Rejected
from imagenet_nk.sampling.draw_order import draw
from imagenet_nk.sources.archive.member_map import Member
from imagenet_nk.sources.archive.opening import OpenArchive, open_synsets, open_train, open_val
from imagenet_nk.sources.archive.tar_reader import MemberSteps, TarReader
from imagenet_nk.sources.archive.tar_stream import BATCH
from imagenet_nk.sources.contract import (
    UNLISTED_KEY,
    BlockingCall,
    Candidate,
    CostModel,
    FetchedImage,
    ReadSteps,
    SourceContext,
    SourceTraits,
    candidates_in_order,
)

log = logging.getLogger(__name__)

_MAX_DRAWS = 1 << 18  # a second of drawing, and 200 draws for each member of the largest class
_OTHER_WNID = re.compile(r"n[0-9]{8}(?=_)")


class DrawRegistry:
    """Which draw met a member first; that draw keeps it, in whatever order draws are read."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}  # number of the draw by offset of the member

    def note(self, k: int, member: Member) -> None:
        """The k-th draw has met a member."""
        self._first[member.start] = min(k, self._first.get(member.start, k))

    def is_repeat(self, k: int, member: Member) -> bool:
        """Whether a draw before the k-th has met the same member."""
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
        """`synset` (a template with {wnid}) takes precedence over `val` (with its `devkit`), and that over `train`."""
        self._train, self._val, self._devkit, self._synset = train, val, devkit, synset
        self.traits = SourceTraits(
            single_origin=True, cost=CostModel(success=0.97, requests=1.8, bytes=2.2), clear_index=self._clear_index
        )
        self._archive: OpenArchive | None = None

    @property
    def identity(self) -> str:
        return self._require_open().identity

    def open(self, wnids: Sequence[str], context: SourceContext) -> None:
        self._sampling = context.sampling
        self._draws: dict[str, DrawRegistry] = {}
        location = self._synset or (self._devkit and self._val) or self._train
        if not location:
            raise SourceError(
                "source=archive needs source.train=TAR, source.synset=TEMPLATE, or source.val= and .devkit="
            )
        archive = OpenArchive(location, context)
        try:
            if self._synset:
                open_synsets(archive, wnids)
            elif self._val and self._devkit:
                open_val(archive, self._devkit, wnids)
            else:
                open_train(archive, wnids)
        except BaseException:
            archive.close()
            raise
        self._archive = archive

    def _require_open(self) -> OpenArchive:
        if self._archive is None:
            raise SourceError("the archive is not open; call open() first")
        return self._archive

    def candidates(self, wnid: str) -> Iterator[Candidate]:
        archive, sampling = self._require_open(), self._sampling
        url = archive.url(wnid)
        listed = sampling.listed(wnid)
        if wnid in archive.images:  # the ids are known beforehand
            yield from candidates_in_order(sampling, wnid, {image_id(wnid, stem): url for stem in archive.images[wnid]})
        elif wnid in archive.streamed or wnid in archive.readers:
            if listed is not None:
                yield from (Candidate(key, wnid, url) for key in listed)
            elif wnid in archive.streamed:
                yield from self._streamed_candidates(wnid, url)
            else:
                yield from self._drawn_candidates(wnid, url, archive.readers[wnid])
                if archive.readers[wnid].is_truncated:
                    log.warning("%s: the tar of %s is cut short, and may have had more images", url, wnid)
                    yield Candidate(f"{wnid}{UNLISTED_KEY}", wnid, url)

    def _drawn_candidates(self, wnid: str, url: str, reader: TarReader) -> Iterator[Candidate]:
        """Draws whose member is not known to be a repeat; ends when all members have been drawn."""
        draws = self._draws.setdefault(wnid, DrawRegistry())
        drawn_starts: set[int] = set()  # offsets of members
        unresolved: list[tuple[int, int]] = []  # draws whose member is not known yet: number and position
        for k in range(_MAX_DRAWS):
            unresolved.append((k, self._position(wnid, k, reader)))
            member_at, resolved = None, []
            for number, position in unresolved:
                member_at = reader.members.seek(position)
                if isinstance(member_at, Member):
                    draws.note(number, member_at)
                    drawn_starts.add(member_at.start)
                    resolved.append((number, position))
            unresolved = [entry for entry in unresolved if entry not in resolved]
            if member_at is None:
                return
            if not (isinstance(member_at, Member) and draws.is_repeat(k, member_at)):
                yield Candidate(f"{wnid}#{k}", wnid, url, k)
            if reader.members.is_complete and drawn_starts.issuperset(reader.members.starts):
                return
        for k, member in enumerate(reader.members.members, start=_MAX_DRAWS):
            if member.start not in drawn_starts:  # behind a member so small that no draw has met this one
                yield Candidate(f"{wnid}@{member.start}", wnid, url, k)

    def _position(self, wnid: str, k: int, reader: TarReader) -> int:
        return draw(self._sampling.seed, wnid, k) * reader.members.length >> 64

    def _streamed_candidates(self, wnid: str, url: str) -> Iterator[Candidate]:
        """In the order of the stream, drawn within each batch; ends when the end of the stream has been read."""
        for k in count():
            if k >= self._require_open().stream_lengths.get(wnid, k + 1):
                return
            yield Candidate(f"{wnid}~{k}", wnid, url)

    def read(self, candidate: Candidate) -> ReadSteps:
        archive, wnid = self._require_open(), candidate.wnid
        if not candidate.url:
            return Rejected(Reason.MISSING)
        if candidate.key.endswith(UNLISTED_KEY):
            return Rejected(Reason.UNLISTED, detail="the tar is cut short")
        if wnid in archive.streamed:
            result = yield BlockingCall(lambda: self._read_streamed(candidate))
        else:
            try:
                result = yield from self._read_member(candidate, archive.readers[wnid])
            except SourceError as error:
                archive.invalidate(wnid, error)
                raise
        if isinstance(result, Rejected):
            return result
        member, data = result
        stem = member.stem or ""
        other = _OTHER_WNID.match(stem)
        if other and other[0] != wnid:
            return Rejected(Reason.WRONG_CLASS, detail=f"{stem} in the tar of {wnid}")
        return FetchedImage(image_id(wnid, stem), data, archive.address(wnid, member))

    def _read_member(self, candidate: Candidate, reader: TarReader) -> MemberSteps:
        wnid, key = candidate.wnid, candidate.key
        if k := key.partition("#")[2]:
            draws = self._draws.setdefault(wnid, DrawRegistry())

            def is_repeat(member: Member) -> bool:
                draws.note(int(k), member)
                return draws.is_repeat(int(k), member)

            return (yield from reader.read_at(self._position(wnid, int(k), reader), is_repeat))
        if start := key.partition("@")[2]:
            return (yield from reader.read_at(int(start)))
        is_stem = wnid in self._require_open().images
        return (yield from reader.read_by_name(key.removeprefix(f"{wnid}_") if is_stem else key))

    def _read_streamed(self, candidate: Candidate) -> tuple[Member, bytes] | Rejected:
        archive, wnid, k = self._require_open(), candidate.wnid, candidate.key.partition("~")[2]
        stream = archive.streams.get(candidate.url)
        if not k:
            key = candidate.key
            return stream.find(lambda m: image_id(wnid, m.stem or "") == key) or Rejected(Reason.MISSING)
        number, rank = divmod(int(k), BATCH)
        batch = stream.batch(number)
        if len(batch) < BATCH:
            archive.stream_lengths[wnid] = number * BATCH + len(batch)
        seed = self._sampling.seed
        batch = sorted(batch, key=lambda pair: (draw(seed, wnid, pair[0].stem), pair[0].start))
        return batch[rank] if rank < len(batch) else Rejected(Reason.PAST_END)

    def _clear_index(self) -> None:
        """Leave nothing of what has been read so far to the next run: it contradicts itself."""
        if self._archive is not None:
            self._archive.index.clear()

    def close(self) -> None:
        if self._archive is not None:
            self._archive.save_index()
            self._archive.close()
            self._archive = None
