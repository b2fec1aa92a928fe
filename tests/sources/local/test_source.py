from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagenet_nk.config import HttpConfig, Materialize
from imagenet_nk.errors import SourceError
from imagenet_nk.reasons import Rejected
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sources.contract import FetchedImage, SourceContext
from imagenet_nk.sources.local.source import Full
from sources.contract import drive
from sources.local.helpers import SHARK, TENCH, folders, ids, opened


def test_order_depends_on_the_seed_and_not_on_the_folder(tmp_path: Path) -> None:
    names = [f"{TENCH}/{TENCH}_{n}.JPEG" for n in range(30)]
    here = opened(folders(tmp_path / "here", *names))
    there = opened(folders(tmp_path / "there" / "train", *reversed(names)).parent)
    assert ids(here) == ids(there) == ids(here)
    assert ids(here) != ids(opened(tmp_path / "here", seed=1))
    assert sorted(ids(here)) == sorted(ids(opened(tmp_path / "here", seed=1)))


def test_absent_class_has_no_candidates(tmp_path: Path) -> None:
    source = opened(folders(tmp_path, f"{TENCH}/a.jpg"), TENCH, SHARK)
    assert ids(source, SHARK) == []


def test_root_removed_while_listing_is_an_error(tmp_path: Path) -> None:
    """A disk that is away for a while is no class's fault."""
    source = opened(folders(tmp_path / "root", f"{TENCH}/a.jpg"))
    (tmp_path / "root").rename(tmp_path / "gone")
    with pytest.raises(SourceError, match="is gone"):
        list(source.candidates(TENCH))


def test_faults_of_a_candidate_are_rejections(tmp_path: Path) -> None:
    source = opened(folders(tmp_path, f"{TENCH}/a.jpg", f"{TENCH}/b.jpg/x", f"{TENCH}/d.jpg"))
    os.mkfifo(tmp_path / TENCH / "c.jpg")
    candidates = list(source.candidates(TENCH))
    (tmp_path / TENCH / "a.jpg").unlink()
    results = {candidate.key[-1]: drive(source, candidate) for candidate in candidates}
    assert {key: r.reason for key, r in results.items() if isinstance(r, Rejected)} == {
        "a": "missing",
        "b": "unreadable",
        "c": "unreadable",
    }
    assert isinstance(results["d"], FetchedImage)


def test_identity_is_the_resolved_folder(tmp_path: Path) -> None:
    folders(tmp_path, f"{TENCH}/a.jpg")
    (tmp_path.parent / "link").unlink(missing_ok=True)
    (tmp_path.parent / "link").symlink_to(tmp_path)
    assert Full(str(tmp_path)).identity == Full(str(tmp_path.parent / "link")).identity
    assert Full(str(tmp_path)).identity != Full(str(tmp_path.parent)).identity


@pytest.mark.real
def test_real_tiny_imagenet(shared: Path) -> None:
    root = shared / "data" / "tiny-imagenet"
    wnids = sorted(folder.name for folder in root.iterdir())
    source = Full(str(root))
    source.open(wnids, SourceContext(root, HttpConfig(), RandomOrder(0)))
    for wnid in wnids:
        candidates = list(source.candidates(wnid))
        assert len(candidates) == len({candidate.key for candidate in candidates}) == 12
        assert all(candidate.key.startswith(f"{wnid}_") for candidate in candidates)


@pytest.mark.parametrize("name", [b"line\nbreak", b"latin\xff"])
def test_root_that_a_list_cannot_hold_is_one_line(tmp_path: Path, name: bytes) -> None:
    root = folders(tmp_path / os.fsdecode(name), f"{TENCH}/a.jpg")
    site = SourceContext(tmp_path / "index", HttpConfig(), RandomOrder(0))
    with pytest.raises(SourceError, match=r"is a path that no list can hold; rename it, or type source\.mat") as error:
        Full(str(root), materialize=Materialize.none).open([TENCH], site)
    assert str(error.value).isprintable()
    Full(str(root)).open([TENCH], site)
