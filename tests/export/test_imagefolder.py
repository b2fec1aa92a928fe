"""Exports that torchvision reads."""

from __future__ import annotations

from pathlib import Path

from torchvision.datasets import ImageFolder as TorchImageFolder

from export.conftest import wnid_of
from imagenet_nk.export.imagefolder import ImageFolder, place
from imagenet_nk.export.stage import export


def test_torchvision_reads_each_image_under_its_own_class(dataset: Path, tmp_path: Path) -> None:
    export(ImageFolder(), dataset, tmp_path / "target", require_complete=True)
    for split, images in (("val", 3), ("train", 6)):
        folder = TorchImageFolder(str(tmp_path / "target" / split))
        assert len(folder) == images
        assert all(wnid_of(image) == folder.classes[index] for image, index in folder)


def test_links_share_the_file_and_copies_do_not(dataset: Path, tmp_path: Path) -> None:
    source = next((dataset / "images" / "n00000001").iterdir())
    for copy in (False, True):
        export(ImageFolder(copy=copy), dataset, tmp_path / f"copy {copy}", require_complete=True)
        (made,) = (tmp_path / f"copy {copy}").rglob(source.name)
        assert made.samefile(source) != copy
        assert made.read_bytes() == source.read_bytes()


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"image")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "target").mkdir()
    place(tmp_path / "link", tmp_path / "target" / "file", copy=False)
    assert not (tmp_path / "target" / "file").is_symlink()
    assert (tmp_path / "target" / "file").read_bytes() == b"image"
