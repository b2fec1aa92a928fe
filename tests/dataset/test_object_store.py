from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from buckets import BUCKET, server
from imagenet_nk.config import Materialize
from imagenet_nk.dataset.image_store import ImageStore
from imagenet_nk.dataset.object_store import OWNER, ObjectStore, claim_bucket, open_store
from imagenet_nk.errors import DatasetError
from imagenet_nk.storage import files

A, B = "n00000001", "n00000002"


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    with server() as environment:
        yield environment


@pytest.fixture
def folder(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    return files.resolve(f"s3://{BUCKET}/{request.node.name}")


@pytest.fixture
def store(folder: Path) -> ObjectStore:
    opened = open_store(folder)
    assert isinstance(opened, ObjectStore)
    return opened


def test_local_folder_has_an_image_store(tmp_path: Path) -> None:
    assert type(open_store(tmp_path)) is ImageStore


def test_written_images_are_listed(store: ObjectStore) -> None:
    store.write(A, "a.jpg", b"one")
    assert store.sizes(A) == {"a.jpg": 3}
    store.write(A, "a.jpg", b"longer")
    store.write(A, "b.jpg", b"two")
    assert store.sizes(A) == {"a.jpg": 6, "b.jpg": 3}
    assert store.sizes(B) == {}
    assert (store.folder / "images" / A / "a.jpg").read_bytes() == b"longer"


def test_arrange_makes_images_hold_exactly_what_is_kept(store: ObjectStore) -> None:
    for name in ("keep.jpg", "spare.jpg", "bad.jpg"):
        store.write(A, name, name.encode())
    store.arrange(A, {"keep.jpg"}, {"bad.jpg"})
    fresh = ObjectStore(store.folder)
    for each in (store, fresh):  # by its own listing, and by a new one
        assert each.sizes(A) == {"keep.jpg": 8, "spare.jpg": 9}
    assert files.is_file(store.folder / "spare" / A / "spare.jpg")
    fresh.arrange(A, {"spare.jpg"}, {"keep.jpg"})
    assert ObjectStore(store.folder).sizes(A) == {"spare.jpg": 9}
    assert (store.folder / "images" / A / "spare.jpg").read_bytes() == b"spare.jpg"


def test_images_of_other_processes_are_listed_after_a_refresh(store: ObjectStore) -> None:
    assert store.sizes(A) == {}
    ObjectStore(store.folder).write(A, "a.jpg", b"one")
    store.refresh()
    assert store.sizes(A) == {"a.jpg": 3}


def test_local_file_is_copied_and_never_linked(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"theirs")
    store.link_or_copy(A, "a.jpg", tmp_path / "a.jpg", Materialize.copy)
    assert store.sizes(A) == {"a.jpg": 6}
    with pytest.raises(DatasetError, match=r"can hold no links; type source\.materialize=copy"):
        store.link_or_copy(A, "b.jpg", tmp_path / "a.jpg", Materialize.link)


def test_url_belongs_to_one_ledger(folder: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    claim_bucket(folder, tmp_path / "first")
    claim_bucket(folder, tmp_path / "first")
    with pytest.raises(DatasetError, match=rf"belongs to the ledger in {tmp_path / 'first'} .*remove .*{OWNER}"):
        claim_bucket(folder, tmp_path / "second")
    assert json.loads((folder / OWNER).read_bytes())["folder"] == str(tmp_path / "first")


@pytest.mark.usefixtures("folder")
def test_missing_bucket_is_named() -> None:
    nowhere = files.resolve("s3://nowhere/set")
    with pytest.raises(DatasetError, match=r"s3://nowhere/set is not there .*make the bucket"):
        open_store(nowhere).write(A, "a.jpg", b"one")


@pytest.mark.usefixtures("folder")
def test_unreachable_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    away = files.resolve(f"s3://{BUCKET}/away")
    away.fs.config_kwargs["retries"] = {"max_attempts": 0}  # type: ignore[attr-defined]
    away.fs.connect(refresh=True)  # type: ignore[attr-defined]
    with pytest.raises(DatasetError, match=r"is out of reach \(.*127\.0\.0\.1:9.*AWS_ENDPOINT_URL"):
        open_store(away).write(A, "a.jpg", b"one")
