from __future__ import annotations

import io
import itertools
import random
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from imagenet_nk.reasons import Rejected
from imagenet_nk.sources.archive.source import Archive
from imagenet_nk.sources.contract import FetchedImage
from imagenet_nk.sources.local.source import Full
from sources.archive.helpers import here, whole_only
from sources.contract import Listed, drive, images, opened
from sources.tars import A, B, jpeg, members, tar, train
from sources.web import Web


def test_listed_member_is_found_in_any_order_of_names(tmp_path: Path, server: Web) -> None:
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


class TestBadTars:
    """Members that are no images are skipped or rejected; the others are found."""

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

    def test_links_devices_folders_and_climbing_names_are_rejected(self, tmp_path) -> None:
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
    def test_long_and_foreign_names_equal_those_of_a_full_copy(self, tmp_path, server, form) -> None:
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
    def test_wrong_size_in_a_header_loses_one_member(self, tmp_path, size) -> None:
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

    def test_broken_checksum_loses_one_member(self, tmp_path) -> None:
        good = members(A, 5)
        data = bytearray(tar(good))
        with tarfile.open(fileobj=io.BytesIO(bytes(data))) as whole:
            data[whole.getmembers()[2].offset + 5] ^= 1
        found, _ = self.read(tmp_path, bytes(data))
        assert found == {good[i][0].removesuffix(".JPEG") for i in (0, 1, 3, 4)}

    def test_truncated_tar_gives_its_complete_members(self, tmp_path) -> None:
        good = members(A, 5)
        data = tar(good)
        found, _ = self.read(tmp_path, data[: len(data) // 2])
        assert found < {name.removesuffix(".JPEG") for name, _ in good}
        assert found
