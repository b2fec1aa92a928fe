"""Places behind a URL, over fsspec's file system in memory: no server, the same calls."""

from __future__ import annotations

import importlib
import io
import sys
from pathlib import Path

import pytest
from PIL import Image

from imagenet_nk.errors import DatasetError, ListError
from imagenet_nk.lists import list_file
from imagenet_nk.lists.torch_dataset import ImageList
from imagenet_nk.storage import files, fsspec_store

pytest.importorskip("upath", reason="pip install 'imagenet-nk[remote]'")


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    return files.resolve(f"memory://{request.node.name}")


def test_path_resolves_to_a_path(tmp_path: Path) -> None:
    assert files.resolve(str(tmp_path)) == tmp_path == files.resolve(f"file://{tmp_path}")
    assert not files.is_remote(files.resolve("~/imagenet"))
    assert "~" not in str(files.resolve("~/imagenet"))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nope://bucket/x", r"there is no protocol 'nope'"),
        ("https://host/x", r"nothing can be written there"),
        ("s3://", r"names no bucket; type s3://BUCKET/FOLDER"),
    ],
)
def test_unusable_urls_are_refused(url: str, says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        files.resolve(url)


@pytest.mark.parametrize(
    ("package", "url", "type_this"),
    [("gcsfs", "gs://bucket/x", "pip install gcsfs"), ("s3fs", "s3://bucket/x", r"pip install 'imagenet-nk\[s3\]'")],
)
def test_missing_package_is_named(package: str, url: str, type_this: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = importlib.import_module("fsspec.registry")._registry
    monkeypatch.delitem(loaded, url.partition(":")[0], raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DatasetError, match=f"needs {package}; type: {type_this}"):
        files.resolve(url)


def test_ledger_of_a_url_is_local() -> None:
    folder = files.resolve("memory://pictures/imagenet")
    assert files.local_dir_for(folder, None) == Path("dataset/memory/pictures/imagenet")
    assert files.local_dir_for(folder, "/fast/disk") == Path("/fast/disk")
    assert files.local_dir_for(Path("here"), None) == Path("here")


def test_remote_file_is_complete_or_absent(folder: Path) -> None:
    with files.atomic_write(folder / "a.txt") as part:
        part.write_text("all of it")
        assert not files.is_file(folder / "a.txt")
    assert (folder / "a.txt").read_text() == "all of it"
    files.write_text(folder / "sub" / "b.txt", "grün")
    assert fsspec_store.sizes_by_folder(folder) == {folder.name: {"a.txt": 9}, "sub": {"b.txt": 5}}


def test_lists_are_read_and_written_behind_a_url(folder: Path) -> None:
    entries = [list_file.Entry("images/n1/a b.jpg", 0), list_file.Entry("/data/c.jpg", 1)]
    list_file.write_list(folder / "eval.txt", entries)
    assert list_file.read_list(str(folder / "eval.txt")) == entries
    assert str(list_file.resolve(str(folder / "eval.txt"), entries[0])) == f"{folder}/images/n1/a b.jpg"
    assert list_file.resolve(folder / "eval.txt", entries[1]) == Path("/data/c.jpg")
    assert len(list_file.sha256(folder / "eval.txt")) == 64
    with pytest.raises(ListError, match=r"cannot read the list .*none\.txt"):
        list_file.read_list(folder / "none.txt")


def test_list_at_a_url_is_a_torch_dataset(folder: Path) -> None:
    data = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 10, 10)).save(data, "PNG")
    files.write_bytes(folder / "images" / "a.png", data.getvalue())
    list_file.write_list(folder / "eval.txt", [list_file.Entry("images/a.png", 7)])
    (image, label), *_ = ImageList(str(folder / "eval.txt"))
    assert (image.size, label) == ((40, 30), 7)


def test_statuses_change_with_the_file(folder: Path) -> None:
    paths = [folder / "x" / f"{number}.jpg" for number in range(3)]
    for path in paths[:2]:
        files.write_bytes(path, b"abc")
    before = files.stat_many([*paths, folder / "none" / "a.jpg"])
    assert [each and (each.name, each.size) for each in before] == [
        (str(paths[0]), 3),
        (str(paths[1]), 3),
        None,
        None,
    ]
    files.write_bytes(paths[1], b"abd")
    after = files.stat_many(paths)
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_prefetch_serves_files_in_any_order(folder: Path) -> None:
    paths = [folder / f"{number}.bin" for number in range(600)]
    for number, path in enumerate(paths):
        files.write_bytes(path, str(number).encode())
    order = [*range(32, 64), *range(32), *range(500, 600), *range(64, 500)]
    with files.reader(paths) as read:
        assert [int(read(paths[number])) for number in order] == order


def test_missing_prefetched_file_is_raised_only_to_its_reader(folder: Path) -> None:
    paths = [folder / f"{number}.bin" for number in range(3)]
    for path in paths[::2]:
        files.write_bytes(path, b"here")
    with files.reader(paths) as read:
        assert read(paths[0]) == b"here"
        with pytest.raises(FileNotFoundError):
            read(paths[1])
        assert read(paths[2]) == b"here"
