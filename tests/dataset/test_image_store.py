from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagenet_nk.config import Materialize
from imagenet_nk.dataset.folder_layout import IMAGES, SPARE
from imagenet_nk.dataset.image_store import ImageStore
from imagenet_nk.errors import DatasetError
from imagenet_nk.storage import files

A = "n01440764"


def names(folder: Path, sub: str = IMAGES) -> list[str]:
    return sorted(path.name for path in (folder / sub / A).glob("*")) if (folder / sub / A).is_dir() else []


def test_written_image_is_complete_and_alone(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    store.write(A, "a.jpg", b"one")
    store.write(A, "a.jpg", b"another")
    store.write(A, "empty.jpg", b"")
    assert (tmp_path / IMAGES / A / "a.jpg").read_bytes() == b"another"
    assert store.sizes(A) == {"a.jpg": 7, "empty.jpg": 0}
    assert names(tmp_path) == ["a.jpg", "empty.jpg"]
    assert store.sizes("n01443537") == {}


def test_threads_may_write_one_name_at_once(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    bodies = [bytes([number]) * 300_000 for number in range(8)]
    threads = [threading.Thread(target=store.write, args=(A, "a.jpg", body)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / IMAGES / A / "a.jpg").read_bytes() in bodies
    assert names(tmp_path) == ["a.jpg"]


def test_incomplete_files_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    store.write(A, "a.jpg", b"one")
    (tmp_path / IMAGES / A / "b.jpg.123.part").write_bytes(b"hal")
    assert ImageStore(tmp_path).sizes(A) == {"a.jpg": 3}
    assert names(tmp_path) == ["a.jpg"]


def test_arrange_moves_to_spare_and_back(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        store.write(A, name, name.encode())
    store.arrange(A, keep={"a.jpg"}, unwanted={"c.jpg"})
    assert (names(tmp_path), names(tmp_path, SPARE)) == (["a.jpg"], ["b.jpg"])
    assert store.sizes(A) == {"a.jpg": 5, "b.jpg": 5}
    store.arrange(A, keep={"a.jpg", "b.jpg"}, unwanted=set())
    assert (names(tmp_path), names(tmp_path, SPARE)) == (["a.jpg", "b.jpg"], [])
    store.arrange(A, keep=set(), unwanted={"a.jpg", "b.jpg"})
    assert store.sizes(A) == {}
    store.arrange("n01443537", keep=set(), unwanted=set())


@pytest.mark.parametrize("how", [Materialize.link, Materialize.copy])
def test_local_file_is_linked_or_copied(tmp_path: Path, how: Materialize) -> None:
    original = tmp_path / "elsewhere.jpg"
    original.write_bytes(b"theirs")
    store = ImageStore(tmp_path / "set")
    for _ in range(2):
        store.link_or_copy(A, "a.jpg", original, how)
    result = tmp_path / "set" / IMAGES / A / "a.jpg"
    assert result.read_bytes() == b"theirs"
    assert result.samefile(original) == (how == Materialize.link)
    assert names(tmp_path / "set") == ["a.jpg"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_disk_is_an_error_and_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ImageStore(tmp_path)
    store.write(A, "a.jpg", b"one")
    with monkeypatch.context() as patched:
        (tmp_path / IMAGES / A / "a.part").symlink_to("/dev/full")  # a device that is always full
        patched.setattr(files, "part_name", lambda name: "a.part")
        with pytest.raises(DatasetError, match=r"no space left for .*another dataset\.dir"):
            store.write(A, "a.jpg", b"x" * 100_000)
    assert (tmp_path / IMAGES / A / "a.jpg").read_bytes() == b"one"
    assert names(tmp_path) == ["a.jpg"]
    store.write(A, "a.jpg", b"two")  # once there is space again
    assert store.sizes(A) == {"a.jpg": 3}


@pytest.mark.parametrize("sub", [IMAGES, SPARE])
def test_file_in_place_of_a_folder_is_named(tmp_path: Path, sub: str) -> None:
    (tmp_path / sub).write_text("")
    with pytest.raises(DatasetError, match=f"{tmp_path / sub} is a file where a folder must be"):
        ImageStore(tmp_path)


def test_file_in_place_of_the_folder_of_a_class_is_named(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    (tmp_path / IMAGES / A).write_text("")
    named = f"{tmp_path / IMAGES / A} is a file where a folder must be: move it away"
    with pytest.raises(DatasetError, match=named):
        store.write(A, "a.jpg", b"one")
    with pytest.raises(DatasetError, match=named):
        store.link_or_copy(A, "a.jpg", tmp_path / IMAGES / A, Materialize.copy)


def test_missing_original_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"gone\.jpg"):
        ImageStore(tmp_path).link_or_copy(A, "a.jpg", tmp_path / "gone.jpg", Materialize.copy)


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of root's that this process may read but not write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / IMAGES / A).mkdir(parents=True)
        (folder / SPARE).mkdir()
        for path in (folder, folder / IMAGES, folder / IMAGES / A, folder / SPARE):
            path.chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            for path in (folder, folder / IMAGES, folder / IMAGES / A, folder / SPARE):
                path.chmod(0o755)


def test_folder_without_permission_is_an_error(unprivileged: Path) -> None:
    with pytest.raises(DatasetError, match=r"cannot be written \(Permission denied\): choose another dataset\.dir"):
        ImageStore(unprivileged).write(A, "a.jpg", b"one")
    with pytest.raises(DatasetError, match="cannot be written"):
        ImageStore(unprivileged / "new")


def test_free_bytes_leave_a_reserve(tmp_path: Path) -> None:
    stat = os.statvfs(tmp_path)
    assert ImageStore(tmp_path).free_bytes() < stat.f_bavail * stat.f_frsize


@pytest.mark.parametrize("how", [Materialize.link, Materialize.copy])
def test_relative_symlink_is_resolved(tmp_path: Path, how: Materialize) -> None:
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "ab").write_bytes(b"image")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.jpg").symlink_to("../objects/ab")
    store = ImageStore(tmp_path / "data")
    store.link_or_copy(A, "a.jpg", tmp_path / "source" / "a.jpg", how)
    assert (tmp_path / "data" / IMAGES / A / "a.jpg").read_bytes() == b"image"
    assert not (tmp_path / "data" / IMAGES / A / "a.jpg").is_symlink()


@pytest.mark.parametrize("how", [Materialize.link, Materialize.copy])
def test_image_is_in_one_place_after_more_and_fewer_are_kept(tmp_path: Path, how: Materialize) -> None:
    (tmp_path / "a.jpg").write_bytes(b"image")
    store = ImageStore(tmp_path / "data")
    for _ in range(2):  # linked anew while the spare one is a link of the same file
        store.link_or_copy(A, "a.jpg", tmp_path / "a.jpg", how)
        store.arrange(A, set(), set())
        assert (names(store.folder), names(store.folder, SPARE)) == ([], ["a.jpg"])
    store.link_or_copy(A, "a.jpg", tmp_path / "a.jpg", how)
    store.arrange(A, {"a.jpg"}, set())
    assert (names(store.folder), names(store.folder, SPARE)) == (["a.jpg"], [])
