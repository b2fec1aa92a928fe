"""The cache of embeddings: incomplete rows are never read, and changed images are not found."""

from __future__ import annotations

import os

import numpy as np
import pytest

from imagenet_nk.errors import CentersError
from imagenet_nk.preprocessing.row_cache import RowCache, open_cache, open_temporary_cache
from imagenet_nk.storage import files
from small_models import file_size_limit


@pytest.fixture
def images(tmp_path):
    paths = [tmp_path / f"{index} a.jpg" for index in range(5)]
    for index, path in enumerate(paths):
        path.write_bytes(bytes(index + 1))
    return paths


def find(cache, paths):
    return cache.find(files.stat_many(paths))


def append(cache, paths, values):
    cache.append(files.stat_many(paths), values)


def read(cache, numbers):
    return cache.map_rows().read(np.asarray(numbers, np.int64))


def rows(n, dim=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def test_what_was_appended_is_found_by_the_next_run(images, tmp_path):
    first = RowCache(tmp_path / "s", 3)
    append(first, images[:2], rows(2))
    append(first, images[2:3], rows(1, seed=1))
    again = RowCache(tmp_path / "s", 3)
    found = find(again, images)
    assert found.tolist() == [0, 1, 2, -1, -1]
    np.testing.assert_array_equal(read(again, found[:3]), np.concatenate([rows(2), rows(1, seed=1)]))


@pytest.mark.parametrize("wanted", [[], [3], [0, 1, 2, 3, 4], [4, 3, 2], [1, 2, 4, 0, 0], [2, 2, 3]])
def test_rows_are_read_in_the_given_order(images, tmp_path, wanted):
    cache = RowCache(tmp_path / "s", 3)
    append(cache, images, rows(5))
    np.testing.assert_array_equal(read(cache, np.array(wanted, np.int64)), rows(5)[wanted])


@pytest.mark.parametrize("name", ["embeddings.f32", "images.tsv"])
@pytest.mark.parametrize("cut", [1, 5, 13, 30])
def test_after_a_kill_while_writing_complete_rows_remain(images, tmp_path, name, cut):
    append(RowCache(tmp_path / "s", 3), images[:3], rows(3))
    file = tmp_path / "s" / name
    os.truncate(file, file.stat().st_size - cut)
    again = RowCache(tmp_path / "s", 3)
    found = find(again, images)
    complete = found[found >= 0]
    np.testing.assert_array_equal(read(again, complete), rows(3)[complete])
    assert -1 in found[:3]
    append(again, images[3:], rows(2, seed=2))
    last = RowCache(tmp_path / "s", 3)
    np.testing.assert_array_equal(read(last, find(last, images[3:])), rows(2, seed=2))


def test_row_that_does_not_match_its_checksum_is_not_found(images, tmp_path):
    append(RowCache(tmp_path / "s", 3), images[:2], rows(2))
    data = bytearray((tmp_path / "s" / "embeddings.f32").read_bytes())
    data[13] ^= 1
    (tmp_path / "s" / "embeddings.f32").write_bytes(data)
    assert find(RowCache(tmp_path / "s", 3), images[:2]).tolist() == [0, -1]


@pytest.mark.parametrize("room", [30, 40, 60])  # bytes of either file: rows of 12, lines of some 40 in two files
def test_rows_that_did_not_fit_on_the_disk_move_no_other_row(images, tmp_path, room):
    values = rows(5)
    cache = RowCache(tmp_path / "s", 3)
    append(cache, images[:1], values[:1])
    with file_size_limit(room), pytest.raises(CentersError, match="File too large; free space"):
        append(cache, images[1:4], values[1:4])
    append(cache, images[4:], values[4:])
    for each in (cache, RowCache(tmp_path / "s", 3)):
        found = find(each, images)
        assert found.tolist() == [0, -1, -1, -1, 1]
        np.testing.assert_array_equal(read(each, found[[0, 4]]), values[[0, 4]])


def test_folder_that_is_no_cache_is_one_line(tmp_path):
    with open_cache(tmp_path, "m", {"a": 1}, 3):
        pass
    for file in tmp_path.rglob("images.tsv"):
        file.unlink()
    for folder in (tmp_path / "embeddings").iterdir():
        (folder / "images.tsv").mkdir()
    with (
        pytest.raises(CentersError, match=r"cannot use .*: Is a directory; mend or remove it"),
        open_cache(tmp_path, "m", {"a": 1}, 3),
    ):
        pass


def test_malformed_line_is_skipped(images, tmp_path):
    append(RowCache(tmp_path / "s", 3), images[:2], rows(2))
    file = tmp_path / "s" / "images.tsv"
    first, second = file.read_text().splitlines(keepends=True)
    file.write_text("\0" * (len(first) - 1) + "\n" + second)
    assert find(RowCache(tmp_path / "s", 3), images[:2]).tolist() == [-1, 1]


def swap_lines(file, first, second, *, checksums=True):
    """Two lines of an index, or all but their checksums."""
    lines = file.read_text().splitlines(keepends=True)
    lines[first], lines[second] = lines[second], lines[first]
    if not checksums:
        lines[first], lines[second] = lines[second][:8] + lines[first][8:], lines[first][:8] + lines[second][8:]
    file.write_text("".join(lines))


@pytest.mark.parametrize("checksums", [True, False])
def test_lines_that_changed_places_match_no_row(images, tmp_path, checksums):
    append(RowCache(tmp_path / "s", 3), images[:3], rows(3))
    swap_lines(tmp_path / "s" / "images.tsv", 0, 2, checksums=checksums)
    cache = RowCache(tmp_path / "s", 3)
    assert find(cache, images[:3]).tolist() == [-1, 1, -1]
    append(cache, [images[0], images[2]], rows(3)[[0, 2]])  # embedded again, they are the last rows
    again = RowCache(tmp_path / "s", 3)
    np.testing.assert_array_equal(read(again, find(again, images[:3])), rows(3))


def test_changed_or_deleted_image_is_not_found(images, tmp_path):
    cache = RowCache(tmp_path / "s", 3)
    append(cache, images[:2], rows(2))
    images[0].write_bytes(b"changed")
    images[1].unlink()
    assert find(cache, images[:2]).tolist() == [-1, -1]


def test_models_do_not_share_a_cache(images, tmp_path):
    with open_cache(tmp_path, "resnet", {"weights": "a"}, 3) as cache:
        append(cache, images[:1], rows(1))
    with open_cache(tmp_path, "resnet", {"weights": "b"}, 3) as cache:
        assert find(cache, images[:1]).tolist() == [-1]
    with open_cache(tmp_path, "resnet", {"weights": "a"}, 3) as cache:
        assert find(cache, images[:1]).tolist() == [0]


def test_temporary_cache_leaves_no_file(images, tmp_path):
    folder = tmp_path / "out"
    with open_temporary_cache(folder, 3) as cache:
        append(cache, images, rows(5))
        assert find(cache, images).tolist() == [0, 1, 2, 3, 4]
        assert list(folder.iterdir()) == []
        mapped = cache.map_rows()
    np.testing.assert_array_equal(mapped.read(np.array([4, 0])), rows(5)[[4, 0]])
