from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.errors import SourceError
from imagenet_nk.reasons import Rejected
from imagenet_nk.sources.contract import FetchedImage
from imagenet_nk.sources.local.tars import entries, read_range
from sources.contract import drive
from sources.local.helpers import GOLDFISH, TENCH, ids, opened
from sources.small_tars import tar_bytes, train_tar

CLASSES = {wnid: {f"{wnid}_{n}.JPEG": f"{wnid} {n} ".encode() * n for n in range(1, 30)} for wnid in (TENCH, GOLDFISH)}


def test_all_layouts_give_the_same_images_in_the_same_order(tmp_path: Path) -> None:
    train_tar(tmp_path / "tar" / "ILSVRC2012_img_train.tar", CLASSES)
    for wnid, files in CLASSES.items():
        (tmp_path / "synsets").mkdir(exist_ok=True)
        (tmp_path / "synsets" / f"{wnid}.tar").write_bytes(tar_bytes(files))
        (tmp_path / "folders" / wnid).mkdir(parents=True)
        for name, data in files.items():
            (tmp_path / "folders" / wnid / name).write_bytes(data)
    roots = ["tar", "tar/ILSVRC2012_img_train.tar", "synsets", "folders"]
    sources = [opened(tmp_path / root) for root in roots]
    for wnid in CLASSES:
        images = [
            [(c.key, found.data) for c in s.candidates(wnid) if isinstance(found := drive(s, c), FetchedImage)]
            for s in sources
        ]
        assert images[0] == images[1] == images[2] == images[3]
        assert dict(images[0]) == {Path(name).stem: data for name, data in CLASSES[wnid].items()}


def test_one_class_tar_is_a_root(tmp_path: Path) -> None:
    (tmp_path / f"{TENCH}.tar").write_bytes(tar_bytes(CLASSES[TENCH]))
    assert sorted(ids(opened(tmp_path / f"{TENCH}.tar"))) == sorted(Path(name).stem for name in CLASSES[TENCH])


def test_hidden_members_are_passed_over_and_images_without_an_extension_are_not(tmp_path: Path) -> None:
    names = {"._a.jpg": b"mac", "__MACOSX/b.jpg": b"mac", ".c/d.jpg": b"x", "e": b"GIF89a", "f": b"no", "g.jfif": b"x"}
    (tmp_path / f"{TENCH}.tar").write_bytes(tar_bytes(names))
    assert sorted(ids(opened(tmp_path))) == [f"{TENCH}_e", f"{TENCH}_g"]


def test_members_have_no_file_to_link(tmp_path: Path) -> None:
    source = opened(train_tar(tmp_path / "train.tar", CLASSES))
    found = drive(source, next(source.candidates(TENCH)))
    assert isinstance(found, FetchedImage)
    assert found.path is None


def test_names_cannot_leave_their_class_and_only_files_count(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("/etc/a.jpg", "../../b.jpg", f"{'long/' * 60}c.jpg", f"{'x' * 120}é.jpg", "readme.txt"):
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"data"))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo(f"kind{kind.decode()}.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        archive.addfile(tarfile.TarInfo("empty.jpg"))
    (tmp_path / f"{TENCH}.tar").write_bytes(buffer.getvalue())
    source = opened(tmp_path)
    assert sorted(ids(source)) == sorted(f"{TENCH}_{stem}" for stem in ("a", "b", "c", "x" * 120 + "=C3=A9"))
    assert all(isinstance(drive(source, candidate), FetchedImage) for candidate in source.candidates(TENCH))


def test_a_tar_of_something_else_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(tar_bytes({"a.jpg": b"a", "b.txt": b"b"}))
    with pytest.raises(SourceError, match=r"holds no <wnid>\.tar"):
        opened(tmp_path / "x.tar")


@pytest.mark.parametrize("cut", [700, 1536, 2000])
def test_truncated_tar_gives_its_whole_images_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cut: int
) -> None:
    whole = tar_bytes({"a.jpg": b"a" * 100, "b.jpg": b"b" * 600})
    (tmp_path / f"{TENCH}.tar").write_bytes(whole[:cut])
    source = opened(tmp_path)
    assert ids(source) == [*[f"{TENCH}_a"][: cut >= 612], f"{TENCH}=rest"]
    assert "is damaged behind byte" in caplog.text


def test_member_beyond_the_end_is_no_candidate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    buffer = io.BytesIO(tar_bytes({"a.jpg": b"a" * 100}).rstrip(b"\0").ljust(1024, b"\0"))
    info = tarfile.TarInfo("b.jpg")
    info.size = 10**12
    buffer.seek(1024)
    buffer.write(info.tobuf(tarfile.GNU_FORMAT))
    (tmp_path / f"{TENCH}.tar").write_bytes(buffer.getvalue())
    assert ids(opened(tmp_path)) == [f"{TENCH}_a", f"{TENCH}=rest"]
    assert "b.jpg does not lie within it" in caplog.text


def test_warning_about_a_broken_tar_is_one_printable_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Names of a tar are whatever its maker wants."""
    info = tarfile.TarInfo("a\n12:00:00 I all is well\x1b[2J\udcff.jpg")
    info.size = 10**12
    (tmp_path / f"{TENCH}.tar").write_bytes(tar_bytes({"a.jpg": b"a"})[:1024] + info.tobuf(tarfile.GNU_FORMAT))
    assert ids(opened(tmp_path)) == [f"{TENCH}_a", f"{TENCH}=rest"]
    [said] = [text for text in caplog.messages if "is damaged behind byte" in text]
    assert said.isprintable()
    assert "all is well" in said


def test_tar_that_shrank_after_listing_is_rejected(tmp_path: Path) -> None:
    tar = train_tar(tmp_path / "train.tar", CLASSES)
    source = opened(tar)
    candidate = next(source.candidates(TENCH))
    tar.write_bytes(tar.read_bytes()[:600])
    assert drive(source, candidate) == Rejected("unreadable", detail=f"{candidate.url}: the tar ends before")


def test_deleted_tar_is_a_rejection_and_a_deleted_root_an_error(tmp_path: Path) -> None:
    """A lost file is that image's fault; a lost root is nobody's, and the run can go on when it is back."""
    tar = train_tar(tmp_path / "ILSVRC2012_img_train.tar", CLASSES)
    alone, in_folder = opened(tar), opened(tmp_path)
    candidates = [next(source.candidates(TENCH)) for source in (alone, in_folder)]
    tar.unlink()
    result = drive(in_folder, candidates[1])
    assert isinstance(result, Rejected)
    assert result.reason == "missing"
    with pytest.raises(SourceError, match="is gone"):
        drive(alone, candidates[0])


@given(
    st.dictionaries(st.from_regex(r"[a-z./é]{1,150}", fullmatch=True), st.binary(max_size=1500), max_size=4),
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.lists(st.tuples(st.integers(0, 8000), st.integers(0, 255)), max_size=6),
    st.integers(0, 12_000),
)
def test_any_tar_gives_members_within_the_file_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], form: int, flips: list[tuple[int, int]], cut: int
) -> None:
    try:
        data = bytearray(tar_bytes(files, form))
    except ValueError:  # ustar cannot hold a name so long
        return
    for at, byte in flips:
        data[at % len(data)] = byte
    tar = tmp_path_factory.getbasetemp() / "fuzz.tar"
    tar.write_bytes(data[:cut])
    try:
        found = list(entries(tar))
    except SourceError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    for member in found:
        assert "/" not in member.name
        assert 0 < member.offset <= member.offset + member.size <= len(data[:cut])
        if member.size:  # an empty file has no range
            assert read_range(f"{tar}#{member.range}") == bytes(data[member.offset : member.offset + member.size])


@pytest.mark.parametrize("place", ["/x.tar", "/x.tar#bytes=0-99999999999", "/x.tar#bytes=-5-1", ""])
def test_malformed_range_url_is_an_os_error(place: str) -> None:
    with pytest.raises(OSError, match=r"no range|no image"):
        read_range(place)


def test_zeros_in_the_middle_are_damage(tmp_path: Path) -> None:
    """As a file has them that was made in full size before its bytes came."""
    data = bytearray(tar_bytes(CLASSES[TENCH]))
    at = data.index(f"{TENCH}_9.JPEG".encode())
    data[at : at + 2048] = bytes(2048)
    (tmp_path / "t.tar").write_bytes(data)
    said: list[str] = []
    found = list(entries(tmp_path / "t.tar", on_damage=said.append))
    assert len(found) < len(CLASSES[TENCH])
    assert "is damaged behind byte" in said[0]


def test_sparse_member_does_not_hide_others(tmp_path: Path) -> None:
    """A GNU sparse file that stands for three megabytes, and has one block of data."""
    names = [f"{TENCH}_{n}.JPEG" for n in range(3)]
    data = bytearray(tar_bytes(dict.fromkeys(names, b"x" * 512), form=tarfile.GNU_FORMAT))
    header = data[1024:1536]
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[386:410] = b"%011o\0%011o\0" % (0, 512)  # its first stretch of data: offset and size
    header[483:495] = b"%011o\0" % 3_000_000
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    data[1024:1536] = header
    (tmp_path / "t.tar").write_bytes(data)
    said: list[str] = []
    assert [member.name for member in entries(tmp_path / "t.tar", on_damage=said.append)] == [names[0], names[2]]
    assert said == []
