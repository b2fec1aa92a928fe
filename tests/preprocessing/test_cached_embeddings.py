"""Embeddings of earlier runs, as the report reads them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from imagenet_nk.preprocessing.cached_embeddings import find_cached
from imagenet_nk.preprocessing.row_cache import ROWS, open_cache
from imagenet_nk.storage.files import stat_many

KEY = {"weights_sha256": "ab", "model": "pool=avg", "pixels": "224", "dtype": "float32", "dim": 4}


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "images" / "n1" / f"{number}.jpg" for number in range(3)]
    paths[0].parent.mkdir(parents=True)
    for number, path in enumerate(paths):
        path.write_bytes(b"x" * (number + 1))
    return paths


def fill(folder: Path, images: list[Path], value: float, **changes: object) -> dict[str, str]:
    """Cache embeddings of one value; returns the metadata of centers made of them."""
    key = KEY | changes
    with open_cache(folder, "model", key, 4) as cache:  # type: ignore[arg-type]
        cache.append(stat_many(images), np.full((len(images), 4), value, np.float32))
    return {"embeddings_key": json.dumps(key), "weights_sha256": "ab", "transform": "224"}


def sized(images: list[Path]) -> list[tuple[Path, int]]:
    return [(path, path.stat().st_size) for path in images]


@pytest.mark.parametrize("changes", [{"model": "pool=max"}, {"model": "layer=2"}, {"dtype": "bfloat16"}])
def test_embeddings_of_another_pool_layer_or_dtype_are_not_taken(
    tmp_path: Path, images: list[Path], changes: dict[str, str]
) -> None:
    own = fill(tmp_path, images, 1.0)
    other = fill(tmp_path, images, 2.0, **changes)
    for metadata, value in ((own, 1.0), (other, 2.0)):
        cached = find_cached([tmp_path], metadata)
        assert cached is not None
        assert (cached.read(cached.find(sized(images))) == value).all()
    assert find_cached([tmp_path], own | {"embeddings_key": json.dumps(KEY | {"model": "pool=min"})}) is None


def test_a_row_that_does_not_match_its_checksum_is_not_read(tmp_path: Path, images: list[Path]) -> None:
    metadata = fill(tmp_path, images, 1.0)
    (rows,) = tmp_path.rglob(ROWS)
    data = bytearray(rows.read_bytes())
    data[4 * 4 + 1] ^= 1  # in the second row
    rows.write_bytes(data)
    cached = find_cached([tmp_path], metadata)
    assert cached is not None
    assert (cached.find(sized(images)) >= 0).tolist() == [True, False, True]


def test_images_of_a_moved_data_set_are_found(tmp_path: Path, images: list[Path]) -> None:
    metadata = fill(tmp_path, images, 1.0)
    moved = [(tmp_path / "elsewhere" / path.relative_to(tmp_path), size) for path, size in sized(images)]
    cached = find_cached([tmp_path], metadata)
    assert cached is not None
    assert (cached.find(moved) >= 0).all()


def test_centers_without_a_key_have_no_embeddings(tmp_path: Path, images: list[Path]) -> None:
    fill(tmp_path, images, 1.0)
    assert find_cached([tmp_path], {"weights_sha256": "ab", "transform": "224"}) is None
