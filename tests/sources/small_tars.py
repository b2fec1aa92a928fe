"""Tars for tests, good and broken."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path


def tar_bytes(members: Mapping[str, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    """A tar with these files, in this order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def train_tar(path: Path, classes: Mapping[str, Mapping[str, bytes]]) -> Path:
    """A tar of `<wnid>.tar`, as ILSVRC2012_img_train.tar is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tar_bytes({f"{wnid}.tar": tar_bytes(files) for wnid, files in classes.items()}))
    return path
