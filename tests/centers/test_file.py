"""The saved file and its exports."""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

import imagenet_nk
from imagenet_nk.errors import CentersError


def test_saved_centers_are_loaded(made, tmp_path):
    made.save(tmp_path / "a" / "centers.safetensors")
    for path in (tmp_path / "a", str(tmp_path / "a" / "centers.safetensors")):
        again = imagenet_nk.load_centers(path)
        np.testing.assert_array_equal(again.centers, made.centers)
        assert (again.centers.dtype, again.counts.dtype, again.labels.dtype) == (np.float32, np.int64, np.int64)
        np.testing.assert_array_equal(again.labels, made.labels)
        np.testing.assert_array_equal(again.extras["another"], np.eye(4))
        assert (again.wnids, again.names, again.metadata["backbone"]) == (made.wnids, made.names, "x")
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["centers.safetensors"]


def test_the_same_centers_are_the_same_file(made, tmp_path):
    made = dataclasses.replace(made, metadata={f"key {n}": "ü" * n for n in range(20)})
    for name in "abc":
        made.save(tmp_path / name)
    assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1
    loaded = imagenet_nk.load_centers(tmp_path / "a").metadata
    assert {key: loaded[key] for key in made.metadata} == made.metadata


@pytest.mark.parametrize("content", [None, b"", b"no such file", b"\x08\0\0\0\0\0\0\0{}      "])
def test_file_that_is_no_centers_file_is_one_line(content, tmp_path):
    path = tmp_path / "c.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CentersError) as raised:
        imagenet_nk.load_centers(path)
    assert "\n" not in str(raised.value)


def test_exports_hold_the_same_numbers(made, tmp_path):
    made.to_npz(tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz") as loaded:
        np.testing.assert_array_equal(loaded["centers"], made.centers)
        assert tuple(loaded["wnids"]) == made.wnids
        assert json.loads(str(loaded["metadata"])) == {"backbone": "x"}
    made.to_csv(tmp_path / "c.csv")
    with (tmp_path / "c.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == list(made.names)
    values = np.array([[row[f"c{d}"] for d in range(4)] for row in rows]).astype(np.float32)
    np.testing.assert_array_equal(values, made.centers)


def test_importing_the_package_and_reading_centers_imports_no_torch(made, tmp_path):
    made.save(tmp_path / "centers.safetensors")
    code = (
        "import sys, imagenet_nk; c = imagenet_nk.load_centers(sys.argv[1]); "
        "assert len(c) == 3; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_file_with_changed_numbers_is_refused(made, tmp_path):
    path = tmp_path / "centers.safetensors"
    made.save(path)
    data = bytearray(path.read_bytes())
    data[-5] ^= 64
    path.write_bytes(data)
    with pytest.raises(CentersError, match="is damaged"):
        imagenet_nk.load_centers(path)
