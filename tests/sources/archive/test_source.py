from __future__ import annotations

import io
import itertools
import random
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagenet_nk.config import HttpConfig
from imagenet_nk.errors import SourceError
from imagenet_nk.reasons import Rejected
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sources.archive.source import Archive
from imagenet_nk.sources.contract import FetchedImage, SourceContext
from imagenet_nk.sources.local.source import Full
from sources.contract import Listed, SourceContract, drive, images, opened
from sources.tars import A, B, C, devkit, jpeg, members, tar, train
from sources.web import Answer, Asked, Web, ranged, web


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as site:
        yield site


@pytest.fixture(scope="module")
def classes() -> dict[str, list[tuple[str, bytes]]]:
    return {wnid: members(wnid, 8) for wnid in (A, B)}


def here(tmp_path: Path, sampling: object = None, seed: int = 0, **http: object) -> SourceContext:
    options = HttpConfig(allow_private=True, **http)  # type: ignore[arg-type]
    return SourceContext(tmp_path / "index", options, sampling or RandomOrder(seed))  # type: ignore[arg-type]


def whole_only(data: bytes) -> Callable[[Asked, dict[str, str]], Answer]:
    """A page of a server that ignores Range."""
    return lambda *_: Answer(200, data, {"Content-Type": "application/x-tar"})


class ArchiveContract(SourceContract):
    ids_known = False
    per_class = 6

    @pytest.fixture
    def wnids(self):
        return [A, B]


class TestLocalTrain(ArchiveContract):
    @pytest.fixture
    def make(self, tmp_path, classes):
        (tmp_path / "train.tar").write_bytes(train(classes))
        return lambda: Archive(train=str(tmp_path / "train.tar"))


class TestRemoteTrain(ArchiveContract):
    @pytest.fixture
    def make(self, server, classes):
        url = server.put("/train.tar", train(classes))
        return lambda: Archive(train=url)


class TestLocalSynsets(ArchiveContract):
    @pytest.fixture
    def make(self, tmp_path, classes):
        for wnid, files in classes.items():
            (tmp_path / f"{wnid}.tar").write_bytes(tar(files, form=tarfile.USTAR_FORMAT))
        return lambda: Archive(synset=str(tmp_path / "{wnid}.tar"))


class TestRemoteSynsets(ArchiveContract):
    @pytest.fixture
    def make(self, server, classes):
        for wnid, files in classes.items():
            server.put(f"/whole/{wnid}.tar", tar(files))
        return lambda: Archive(synset=server.base + "/whole/{wnid}.tar")


class TestStreamedSynsets(ArchiveContract):
    @pytest.fixture
    def make(self, server, classes):
        for wnid, files in classes.items():
            server.put(f"/whole/{wnid}.tar", whole_only(tar(files)))
        return lambda: Archive(synset=server.base + "/whole/{wnid}.tar")


class TestVal(SourceContract):
    per_class = 6

    @pytest.fixture(params=["local", "remote"])
    def make(self, request, tmp_path, server):
        truth = [1 + (i * 7) % 3 for i in range(30)]  # devkit ids 1, 2, 3: n02119789, n02100735, n02110185
        val, kit = tar((f"ILSVRC2012_val_{i:08d}.JPEG", jpeg(i)) for i in range(1, 31)), devkit(truth)
        if request.param == "remote":
            urls = server.put("/val.tar", val), server.put("/devkit.tar.gz", kit)
            return lambda: Archive(val=urls[0], devkit=urls[1])
        (tmp_path / "val.tar").write_bytes(val)
        (tmp_path / "devkit.tar.gz").write_bytes(kit)
        return lambda: Archive(val=str(tmp_path / "val.tar"), devkit=str(tmp_path / "devkit.tar.gz"))

    @pytest.fixture
    def wnids(self):
        return ["n02119789", "n02100735"]

    def test_each_image_has_the_class_of_its_line(self, make, wnids, site) -> None:
        with opened(make(), wnids, site()) as source:
            for devkit_id, wnid in enumerate(wnids, start=1):
                found = images(source, wnid)
                numbers = {int(f.image_id.rpartition("_")[2]) for f in found}
                assert numbers == {i + 1 for i in range(30) if 1 + (i * 7) % 3 == devkit_id}
                for one in found:
                    assert one.data == jpeg(int(one.image_id.rpartition("_")[2]))


def first_distinct(source: Archive, wnid: str, nk: int) -> list[FetchedImage]:
    found = images(source, wnid, nk)
    assert len(found) == nk
    return found


def test_the_draw_is_the_member_at_or_after_a_position(tmp_path: Path) -> None:
    """Against a plain reading of the definition, with all headers known."""
    from imagenet_nk.sampling.draw_order import draw

    files = members(A, 25)
    data = tar(files)
    (tmp_path / f"{A}.tar").write_bytes(data)
    with tarfile.open(tmp_path / f"{A}.tar") as whole:
        starts = [(m.offset, m.name) for m in whole]
    for seed in range(5):
        expected: list[str] = []
        for k in range(200):
            position = draw(seed, A, k) * len(data) >> 64
            name = next((n for start, n in starts if start >= position), starts[0][1]).removesuffix(".JPEG")
            if name not in expected:
                expected.append(name)
        with opened(Archive(synset=str(tmp_path / "{wnid}.tar")), [A], here(tmp_path, seed=seed)) as source:
            assert [f.image_id for f in first_distinct(source, A, 12)] == expected[:12]


def test_all_members_are_found_and_then_it_ends(tmp_path: Path) -> None:
    files = members(A, 40)
    (tmp_path / "t.tar").write_bytes(train({B: members(B, 2), A: files, C: members(C, 3)}))
    with opened(Archive(train=str(tmp_path / "t.tar")), [A, B, C], here(tmp_path)) as source:
        for wnid, count in ((A, 40), (B, 2), (C, 3)):
            found = images(source, wnid)
            assert len(found) == count
        data = {f.image_id + ".JPEG": f.data for f in images(source, A)}
    assert data == dict(files)


def test_fewer_are_a_prefix_of_more_whatever_order_they_are_read_in(tmp_path: Path) -> None:
    (tmp_path / "t.tar").write_bytes(train({A: members(A, 40)}))

    def ids(nk: int, shuffle: int | None, folder: str) -> list[str]:
        with opened(Archive(train=str(tmp_path / "t.tar")), [A], here(tmp_path / folder)) as source:
            if shuffle is not None:  # a batch of candidates in flight at once, ending in any order
                batch = list(itertools.islice(source.candidates(A), 25))
                results = {c.key: drive(source, c) for c in random.Random(shuffle).sample(batch, len(batch))}
                found = [r.image_id for c in batch if isinstance(r := results[c.key], FetchedImage)]
                return list(dict.fromkeys(found))[:nk]
            return [f.image_id for f in first_distinct(source, A, nk)]

    ten = ids(10, None, "x")
    assert ids(5, None, "y") == ten[:5]
    assert ids(10, None, "x") == ten, "with what was known kept"
    for shuffle in range(3):
        assert ids(10, shuffle, f"z{shuffle}") == ten


def test_draws_are_uniform_over_members_of_one_size(tmp_path: Path) -> None:
    """Chi-square over seeds, and for members of all sizes against the share of the neighbour before each."""
    from imagenet_nk.sampling.draw_order import draw

    for name, files in (
        ("even", [(f"{A}_{i}.JPEG", bytes([255, i]) * 1500) for i in range(40)]),
        ("odd", members(A, 40)),
    ):
        data = tar(files)
        (tmp_path / f"{name}-{A}.tar").write_bytes(data)
        with tarfile.open(tmp_path / f"{name}-{A}.tar") as whole:
            starts = [m.offset for m in whole]
        share = [(starts[0] + len(data) - starts[-1] - 0) / len(data)] + [
            (b - a) / len(data) for a, b in itertools.pairwise(starts)
        ]
        counts: Counter[str] = Counter()
        source = Archive(synset=str(tmp_path / (name + "-{wnid}.tar")))
        rounds = 2000
        with opened(source, [A], here(tmp_path / name)) as one:
            images(one, A)  # all is known now, so that draws cost nothing
            span = one._archive.readers[A]
            for seed in range(rounds):
                member = span.members.seek(draw(seed, A, 0) * span.members.length >> 64)
                counts[member.header.name] += 1
        statistic = sum(
            (counts[file] - rounds * p) ** 2 / (rounds * p) for (file, _), p in zip(files, share, strict=True)
        )
        assert statistic < 72.1, "the 0.999 quantile of chi-square with 39 degrees of freedom is 72.05"


def test_a_listed_member_is_found_whatever_the_order_of_names(tmp_path: Path, server: Web) -> None:
    serials = random.Random(1).sample(range(1, 30000), 200)
    orders = {
        "natural": sorted(serials),
        "textual": sorted(serials, key=str),
        "none": serials,
    }
    for name, order in orders.items():
        files = members(A, 0, side=12, serials=order)
        url = server.put(f"/{name}.tar", train({A: files}))
        wanted = [f"{A}_{n}" for n in (order[199], order[0], order[77], 31000, order[78], order[120])]
        server.asked.clear()
        with opened(Archive(train=url), [A], here(tmp_path / name, Listed({A: wanted}))) as source:
            results = {c.key: drive(source, c) for c in source.candidates(A)}
        there = dict(files)
        assert [k for k, r in results.items() if r == Rejected("missing")] == [f"{A}_31000"]
        for key, result in results.items():
            if isinstance(result, FetchedImage):
                assert (result.image_id, result.data) == (key, there[key + ".JPEG"])
        if name != "none":  # bisecting, but for the one that is not there
            before = [a for a in server.asked if a.first is not None]
            assert len(before) < 200 + 5 * 12


def test_bisecting_takes_few_reads(tmp_path: Path, server: Web) -> None:
    files = members(A, 0, side=12, serials=range(3, 3003, 3))
    url = server.put("/t.tar", train({A: files}))
    wanted = [f"{A}_{n}" for n in random.Random(5).sample(range(3, 3003, 3), 40)]
    with opened(Archive(train=url), [A], here(tmp_path, Listed({A: wanted}))) as source:
        server.asked.clear()
        assert [f.image_id for f in images(source, A)] == wanted
    assert len(server.asked) <= 40 * 6


class TestBudget:
    """At most 2 requests and 2.5 times the bytes for each image kept, with what finding the classes takes."""

    @pytest.mark.parametrize("at_once", [1, 16])
    @pytest.mark.parametrize("form", ["train", "synset"])
    def test_requests_and_bytes(self, tmp_path, server, at_once, form) -> None:
        wnids = [f"n{i:08d}" for i in range(1000, 1040)]
        tars = {wnid: like_photographs(wnid, 40) for wnid in wnids}
        self.check(tmp_path, server, tars, form, at_once)

    @pytest.mark.real
    @pytest.mark.parametrize("at_once", [1, 16])
    @pytest.mark.parametrize("folder", ["tiny-imagenet", "imagenet-samples"])
    def test_with_photographs(self, tmp_path, server, shared, at_once, folder) -> None:
        files = sorted((shared / "data" / folder).rglob("*.JPEG"))[: 2400 if folder == "tiny-imagenet" else 400]
        photographs = [file.read_bytes() for file in files]
        rng = random.Random(1)
        tars = {
            wnid: [(f"{wnid}_{i}.JPEG", data) for i, data in enumerate(rng.sample(photographs, 40))]
            for wnid in (f"n{i:08d}" for i in range(1000, 1020))
        }
        self.check(tmp_path, server, tars, "train", at_once)

    def check(self, tmp_path, server, tars, form, at_once) -> None:
        wnids = list(tars)
        if form == "train":
            source = Archive(train=server.put("/train.tar", train(tars)))
        else:
            for wnid, files in tars.items():
                server.put(f"/{wnid}.tar", tar(files))
            source = Archive(synset=server.base + "/{wnid}.tar")
        kept = 0
        with opened(source, wnids, here(tmp_path)):
            for wnid in wnids:
                found: dict[str, int] = {}
                candidates = source.candidates(wnid)
                while len(found) < 10:
                    flight = list(itertools.islice(candidates, min(at_once, 10 - len(found))))
                    for result in all_at_once(source, flight):
                        if isinstance(result, FetchedImage):
                            found[result.image_id] = len(result.data)
                        else:
                            assert result.reason == "redrawn"
                kept += sum(found.values())
        asked = [a for a in server.asked if a.method == "GET"]
        assert len(asked) <= 2 * 10 * len(wnids)
        assert sum(a.sent for a in asked) <= 2.5 * kept


def like_photographs(wnid: str, count: int) -> list[tuple[str, bytes]]:
    """Members whose sizes spread as those of photographs do: the standard deviation is 0.67 of the mean."""
    rng = random.Random(wnid)
    sizes = [int(rng.lognormvariate(9.0, 0.6)) for _ in range(count)]
    return [(f"{wnid}_{i}.JPEG", b"\xff\xd8\xff" + rng.randbytes(size)) for i, size in enumerate(sizes)]


def all_at_once(source: Archive, candidates: list[object]) -> list[FetchedImage | Rejected]:
    """Read candidates step by step in turn, so that none profits from what another has finished with."""
    from sources.contract import fetch

    steps = [source.read(c) for c in candidates]  # type: ignore[arg-type]
    results: list[FetchedImage | Rejected | None] = [None] * len(steps)
    waiting: dict[int, object] = dict.fromkeys(range(len(steps)))
    while waiting:
        asked = {}
        for i, answer in waiting.items():
            try:
                asked[i] = steps[i].send(answer)
            except StopIteration as end:
                results[i] = end.value
        waiting = {i: fetch(request) for i, request in asked.items()}
    return [r for r in results if r is not None]


def login(_: bytes, __: Asked, answer: Answer) -> Answer:
    page = b"<!doctype html><html>Please log in</html>".ljust(len(answer.body))[: len(answer.body)]
    return Answer(206, page, {**answer.headers, "Content-Type": "text/html"})


def garbage(_: bytes, asked: Asked, answer: Answer) -> Answer:
    return Answer(206, random.Random(len(answer.body) + (asked.first or 0)).randbytes(len(answer.body)), answer.headers)


class TestBadServers:
    """A server that lies gives a rejection that says how, or one line."""

    @pytest.fixture
    def data(self, classes) -> bytes:
        return train(classes)

    def ended(self, server: Web, tmp_path: Path, data: bytes, lie: Callable[[Asked, Answer], Answer]) -> str:
        """With which line a run ends when all answers after the opening are lies."""
        lying = False

        def page(asked: Asked, _: dict[str, str]) -> Answer:
            answer = ranged(data, asked)
            return lie(asked, answer) if lying else answer

        with opened(Archive(train=server.put("/t.tar", page)), [A], here(tmp_path)) as source:
            lying = True
            with pytest.raises(SourceError) as error:
                [drive(source, candidate) for candidate in source.candidates(A)]
        assert "\n" not in str(error.value)
        assert "nothing is held against any image" in str(error.value)
        return str(error.value)

    @pytest.mark.parametrize(
        ("line", "lie"),
        [
            ("ignores Range", lambda asked, answer: Answer(200, b"x" * 100, {"Content-Type": "application/x-tar"})),
            (
                "a page instead of the archive; is a login needed?",
                lambda asked, answer: Answer(200, b"<html>sign in", {"Content-Type": "text/html; charset=u"}),
            ),
            ("is shorter than it was", lambda asked, answer: Answer(416, b"", {"Content-Range": "bytes */10"})),
            (
                "has changed on the server",
                lambda asked, answer: Answer(206, answer.body, {**answer.headers, "ETag": '"two"'}),
            ),
            (
                "has changed on the server",
                lambda asked, answer: Answer(
                    206, answer.body, {**answer.headers, "Content-Range": f"bytes {asked.first}-{asked.last}/99999999"}
                ),
            ),
            ("another range", lambda asked, answer: Answer(206, answer.body, {"Content-Range": "bytes 0-511/5"})),
            ("another range", lambda asked, answer: Answer(206, answer.body, {})),
            ("another range", lambda asked, answer: Answer(206, answer.body[:-9], answer.headers)),
            ("answers 403", lambda asked, answer: Answer(403)),
            ("answers 503", lambda asked, answer: Answer(503)),
        ],
    )
    def test_lies_between_requests(self, server, tmp_path, data, line, lie) -> None:
        assert line in self.ended(server, tmp_path, data, lie)

    def test_the_wrong_bytes_under_the_right_headers(self, server, tmp_path, data) -> None:
        def lie(asked: Asked, answer: Answer) -> Answer:
            return Answer(206, random.Random(asked.first).randbytes(len(answer.body)), answer.headers)

        assert "sends other bytes than before" in self.ended(server, tmp_path, data, lie)

    @pytest.mark.parametrize(
        ("message", "page"),
        [
            ("the server ignores Range and sends whole files, all of it", whole_only(b"x" * 5000)),
            ("answers with a page instead", lambda *_: Answer(200, b"<html>", {"Content-Type": "text/html"})),
            ("answers 404", lambda *_: Answer(404)),
            ("answers 503", lambda *_: Answer(503)),
            ("is no tar", b"no tar at all" * 100),
            ("is empty", b""),
            ("gzip'ed", b"\x1f\x8b\x08\0" + bytes(2000)),
            ("holds no <wnid>.tar", tar([("readme.txt", b"hello")])),
        ],
    )
    def test_no_archive_is_one_line(self, server, tmp_path, message, page) -> None:
        with pytest.raises(SourceError) as error:
            Archive(train=server.put("/t.tar", page)).open([A], here(tmp_path))
        assert message in str(error.value)
        assert "\n" not in str(error.value)

    def test_cut_short_is_one_line(self, server, tmp_path, data) -> None:
        for keep in (700, len(data) // 3, len(data) - 20000):
            with pytest.raises(SourceError, match=r"cut short|no <wnid>\.tar"):
                Archive(train=server.put(f"/{keep}.tar", data[:keep])).open([A, B, C], here(tmp_path))

    def test_nobody_there_is_one_line(self, tmp_path, server) -> None:
        with pytest.raises(SourceError, match="refused"):
            Archive(train="http://127.0.0.1:9/t.tar").open([A], here(tmp_path))
        site = SourceContext(tmp_path / "index", HttpConfig(), RandomOrder(0))
        with pytest.raises(SourceError, match="loopback"):
            Archive(train=server.put("/t.tar", b"")).open([A], site)
        with pytest.raises(SourceError, match="No such file"):
            Archive(train=str(tmp_path / "none.tar")).open([A], here(tmp_path))


class TestBadTars:
    """Members that are no images are passed over or rejected; the rest is found."""

    def read(self, tmp_path: Path, data: bytes) -> tuple[set[str], Counter[str]]:
        (tmp_path / f"{A}.tar").write_bytes(data)
        with opened(Archive(synset=str(tmp_path / "{wnid}.tar")), [A], here(tmp_path)) as source:
            results = [drive(source, c) for c in itertools.islice(source.candidates(A), 500)]
        return {r.image_id for r in results if isinstance(r, FetchedImage)}, Counter(
            r.reason for r in results if isinstance(r, Rejected)
        )

    def special(self, kind: bytes, name: str = "odd", link: str = "") -> tuple[tarfile.TarInfo, bytes]:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        return info, b""

    def test_links_devices_folders_and_climbing_names(self, tmp_path) -> None:
        good = members(A, 4)
        odd = [
            self.special(tarfile.DIRTYPE, "folder/"),
            self.special(tarfile.SYMTYPE, f"{A}_1.JPEG", "/etc/passwd"),
            self.special(tarfile.LNKTYPE, f"{A}_2.JPEG", f"{A}_3.JPEG"),
            self.special(tarfile.CHRTYPE),
            self.special(tarfile.FIFOTYPE),
            ("/etc/passwd.JPEG", jpeg(1)),
            ("../../up.JPEG", jpeg(2)),
            (f"{B}_7.JPEG", jpeg(3)),
            (f"{A}_8.JPEG", b""),
        ]
        files = [x for pair in itertools.zip_longest(odd, good) for x in pair if x]
        found, reasons = self.read(tmp_path, tar(files))
        assert found == {name.removesuffix(".JPEG") for name, _ in good}
        assert reasons == {"bad_member": 7, "wrong_class": 1}

    @pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
    def test_long_and_foreign_names_are_those_that_a_full_copy_gives(self, tmp_path, server, form) -> None:
        """Names that differ only behind what a tar header holds, others not in ASCII, and a wordy pax record."""
        names = [f"{A}_{'x' * 150}{n}.JPEG" for n in range(4)] + [f"{A}_{word}.JPEG" for word in ("ähre", "öhre", "鱼")]
        names += [f"{'folder/' * 30}{A}_{n}.JPEG" for n in range(3)]
        files = [(tarfile.TarInfo(name), jpeg(n)) for n, name in enumerate(names)]
        files[0][0].pax_headers = {"comment": "x" * 3000} if form == tarfile.PAX_FORMAT else {}
        data = tar([*files, *members(A, 3)], form=form)
        (tmp_path / f"{A}.tar").write_bytes(data)
        with opened(Full(root=str(tmp_path)), [A], here(tmp_path)) as source:
            ids = {found.image_id for found in images(source, A)}
        assert len(ids) == len(names) + 3
        found, reasons = self.read(tmp_path, data)
        assert found == ids
        assert set(reasons) <= {"redrawn"}
        listed = Listed({A: sorted(ids)})
        with opened(Archive(synset=str(tmp_path / "{wnid}.tar")), [A], here(tmp_path, listed)) as source:
            assert {found.image_id for found in images(source, A)} == ids
        server.put(f"/{A}.tar", whole_only(data))
        with opened(Archive(synset=server.base + "/{wnid}.tar"), [A], here(tmp_path)) as source:
            assert {found.image_id for found in images(source, A)} == ids

    @pytest.mark.parametrize(
        "size", [b"77777777777\0", b"\x80" + b"\0" * 6 + b"\xff" * 5, b"\xff" * 12, b"00000000001\0"]
    )
    def test_a_size_that_lies(self, tmp_path, size) -> None:
        good = members(A, 5)
        data = bytearray(tar(good))
        with tarfile.open(fileobj=io.BytesIO(bytes(data))) as whole:
            at = whole.getmembers()[2].offset
        header = data[at : at + 512]
        header[124:136] = size
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        data[at : at + 512] = header
        found, _ = self.read(tmp_path, bytes(data))
        honest = {good[i][0].removesuffix(".JPEG") for i in (0, 1, 3, 4)}
        assert honest <= found

    def test_a_broken_checksum_loses_one_member(self, tmp_path) -> None:
        good = members(A, 5)
        data = bytearray(tar(good))
        with tarfile.open(fileobj=io.BytesIO(bytes(data))) as whole:
            data[whole.getmembers()[2].offset + 5] ^= 1
        found, _ = self.read(tmp_path, bytes(data))
        assert found == {good[i][0].removesuffix(".JPEG") for i in (0, 1, 3, 4)}

    def test_cut_short(self, tmp_path) -> None:
        good = members(A, 5)
        data = tar(good)
        found, _ = self.read(tmp_path, data[: len(data) // 2])
        assert found < {name.removesuffix(".JPEG") for name, _ in good}
        assert found

    def test_one_class_that_is_missing_packed_or_broken_is_left_out(self, tmp_path, caplog) -> None:
        (tmp_path / f"{A}.tar").write_bytes(tar(members(A, 3)))
        (tmp_path / f"{B}.tar").write_bytes(b"\x1f\x8b" + bytes(3000))
        (tmp_path / "n00000001.tar").write_bytes(b"<html>" * 400)
        with opened(Archive(synset=str(tmp_path / "{wnid}.tar")), [A, B, C, "n00000001"], here(tmp_path)) as source:
            assert [len(images(source, wnid)) for wnid in (A, B, C, "n00000001")] == [3, 0, 0, 0]
        assert "gzip'ed" in caplog.text
        assert "is no tar" in caplog.text


def test_a_stream_stops_when_the_class_is_full(tmp_path: Path, server: Web) -> None:
    files = members(A, 400)
    data = tar(files)
    url = server.base + "/{wnid}.tar"
    server.put(f"/{A}.tar", whole_only(data))
    with opened(Archive(synset=url), [A], here(tmp_path)) as source:
        ten = [f.image_id for f in first_distinct(source, A, 10)]
        assert set(ten) <= {name.removesuffix(".JPEG") for name, _ in files[:32]}
        assert len(images(source, A)) == 400
    with opened(Archive(synset=url), [A], here(tmp_path, seed=1)) as source:
        assert [f.image_id for f in first_distinct(source, A, 10)] != ten


def test_a_stream_that_turns_into_a_page_or_another_file_settles_nothing(tmp_path: Path, server: Web) -> None:
    data = tar(members(A, 80))
    answers = [Answer(200, b"<html>sign in", {"Content-Type": "text/html"}), Answer(503), Answer(200, data[:-512])]
    server.put(f"/{A}.tar", whole_only(data))
    with opened(Archive(synset=server.base + "/{wnid}.tar"), [A], here(tmp_path)) as source:
        candidates = list(itertools.islice(source.candidates(A), 40))
        first = drive(source, candidates[0])
        for answer in answers:
            source._archive.streams.close()
            server.put(f"/{A}.tar", lambda *_, answer=answer: answer)
            with pytest.raises(SourceError, match="nothing is held against any image"):
                drive(source, candidates[39])
        server.put(f"/{A}.tar", whole_only(data))
        assert isinstance(drive(source, candidates[39]), FetchedImage)
        assert drive(source, candidates[0]) == first


def test_a_class_that_was_broken_is_looked_at_anew_by_the_next_run(tmp_path: Path, server: Web) -> None:
    source = Archive(synset=server.base + "/{wnid}.tar")
    for wnid in (A, B):
        server.put(f"/{wnid}.tar", tar(members(wnid, 6)))
    with opened(source, [A, B], here(tmp_path)):
        pass
    del server.pages[f"/{A}.tar"]
    with opened(source, [A, B], here(tmp_path)), pytest.raises(SourceError, match="answers 404"):
        images(source, A)
    with opened(source, [A, B], here(tmp_path)):
        assert images(source, A) == []
        assert len(images(source, B)) == 6


def test_the_kept_index_saves_the_requests_and_a_new_version_drops_it(tmp_path: Path, server: Web, classes) -> None:
    url = server.put("/t.tar", train(classes))

    def run() -> tuple[list[str], int]:
        server.asked.clear()
        with opened(Archive(train=url), [A, B], here(tmp_path)) as source:
            opening = len(server.asked)
            return [f.image_id for wnid in (A, B) for f in first_distinct(source, wnid, 4)], opening

    first, opening = run()
    assert opening == 2
    again, opening = run()
    assert again == first
    assert opening == 1
    server.put("/t.tar", train({B: members(B, 5), A: members(A, 5)}))
    assert run()[1] == 2
    for file in tmp_path.glob("index/archive-*.json"):
        file.write_text('{"version": 3')
    assert run()[1] == 2


def test_half_an_outer_index_is_gone_on_from(tmp_path: Path, server: Web) -> None:
    wnids = [f"n{i:08d}" for i in range(30)]
    url = server.put("/t.tar", train({wnid: members(wnid, 2, side=8) for wnid in wnids}))
    with opened(Archive(train=url), wnids[:10], here(tmp_path)):
        assert len(server.asked) == 10
    server.asked.clear()
    with opened(Archive(train=url), wnids, here(tmp_path)) as source:
        assert len(server.asked) == 1 + 20
        assert all(len(images(source, wnid)) == 2 for wnid in wnids)
