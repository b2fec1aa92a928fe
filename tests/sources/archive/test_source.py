from __future__ import annotations

import itertools
import random
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from imagenet_nk.sources.archive.source import Archive
from imagenet_nk.sources.contract import FetchedImage
from sources.archive.helpers import all_at_once, first_distinct, here, like_photographs, whole_only
from sources.contract import SourceContract, drive, images, opened
from sources.tars import A, B, C, devkit, jpeg, members, tar, train


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


def test_draw_is_the_member_at_or_after_its_position(tmp_path: Path) -> None:
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


def test_draws_end_when_all_members_are_found(tmp_path: Path) -> None:
    files = members(A, 40)
    (tmp_path / "t.tar").write_bytes(train({B: members(B, 2), A: files, C: members(C, 3)}))
    with opened(Archive(train=str(tmp_path / "t.tar")), [A, B, C], here(tmp_path)) as source:
        for wnid, count in ((A, 40), (B, 2), (C, 3)):
            found = images(source, wnid)
            assert len(found) == count
        data = {f.image_id + ".JPEG": f.data for f in images(source, A)}
    assert data == dict(files)


def test_small_sample_is_a_prefix_of_a_larger_one_in_any_reading_order(tmp_path: Path) -> None:
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


class TestBudget:
    """At most 2 requests and 2.5 times the bytes for each image kept, with what finding the classes takes."""

    @pytest.mark.parametrize("at_once", [1, 16])
    @pytest.mark.parametrize("form", ["train", "synset"])
    def test_requests_and_bytes_of_a_read_are_bounded(self, tmp_path, server, at_once, form) -> None:
        wnids = [f"n{i:08d}" for i in range(1000, 1040)]
        tars = {wnid: like_photographs(wnid, 40) for wnid in wnids}
        self.check(tmp_path, server, tars, form, at_once)

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
