"""Which class each validation image is of, out of the devkit of ILSVRC2012.

`data/ILSVRC2012_validation_ground_truth.txt` holds on line i the devkit id (1..1000) of ILSVRC2012_val_0000000i.JPEG;
`data/meta.mat` lists the classes in the order of their ids, and must agree with the order that we go by.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from imagenet_nk.errors import SourceError
from imagenet_nk.storage.files import open_regular

_GROUND_TRUTH, _META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"
N_VAL = 50_000  # validation images, 50 of each class
_MAX_BYTES = 64 << 20  # bytes of a file of the devkit, unpacked
_WNID = re.compile(rb"(?<![0-9A-Za-z])n(?:\x00?[0-9]){8}(?!\x00?[0-9])")
_MI_COMPRESSED = 15  # miCOMPRESSED, MAT-file level 5


def val_images(devkit: Path, clsloc: Sequence[str]) -> dict[str, list[str]]:
    """File stems of the validation images by WNID. `clsloc`: the WNIDs of devkit ids 1, 2, ...

    Raises SourceError if the file is no devkit, or contradicts the order of classes or itself.
    """
    truth, meta = _read_files(devkit)
    order = wnids_of(meta)
    if len(order) >= len(clsloc) and order[: len(clsloc)] != list(clsloc):
        raise SourceError(
            f"{devkit}: its meta.mat numbers the classes in another order; use ILSVRC2012_devkit_t12.tar.gz"
        )
    ids = ground_truth(truth, len(clsloc), str(devkit))
    images: dict[str, list[str]] = {}
    for number, devkit_id in enumerate(ids, start=1):
        images.setdefault(clsloc[devkit_id - 1], []).append(f"ILSVRC2012_val_{number:08d}")
    return images


def ground_truth(text: bytes, classes: int, where: str) -> list[int]:
    """Devkit ids by line. Raises SourceError with the number of the first bad line."""
    lines = text.split(b"\n")
    while lines and not lines[-1].strip():
        lines.pop()
    ids = []
    for number, line in enumerate(lines, start=1):
        value = int(line) if re.fullmatch(rb"\s*[0-9]{1,4}\s*", line) else 0
        if not 1 <= value <= classes:
            raise SourceError(
                f"{where}: line {number} of the ground truth is no devkit id 1..{classes}; fetch it again"
            )
        ids.append(value)
    if not ids:
        raise SourceError(f"{where}: the ground truth is empty; fetch it again")
    if len(ids) == N_VAL and set(Counter(ids).values()) != {N_VAL // classes}:
        raise SourceError(f"{where}: the ground truth has not {N_VAL // classes} images of each class; fetch it again")
    return ids


def _read_files(devkit: Path) -> tuple[bytes, bytes]:
    """The ground truth and meta.mat (empty if there is none), of the devkit as a tar or unpacked."""
    contents = _read_folder(devkit) if devkit.is_dir() else _read_tar(devkit)
    if _GROUND_TRUTH not in contents:
        raise SourceError(f"{devkit} holds no {_GROUND_TRUTH}; use ILSVRC2012_devkit_t12.tar.gz")
    return contents[_GROUND_TRUTH], contents.get(_META, b"")


def _read_folder(devkit: Path) -> dict[str, bytes]:
    contents = {}
    for name in (_GROUND_TRUTH, _META):
        file = devkit / "data" / name
        try:
            if file.is_file() and file.stat().st_size <= _MAX_BYTES:
                contents[name] = file.read_bytes()
        except OSError as error:
            raise SourceError(f"{file} cannot be read: {error.strerror}") from error
    return contents


def _read_tar(devkit: Path) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    try:
        with open_regular(devkit) as opened, tarfile.open(fileobj=opened) as tar:
            for member in tar:
                name = member.name.rpartition("/")[2]
                if name in (_GROUND_TRUTH, _META) and member.isreg() and member.size <= _MAX_BYTES:
                    file = tar.extractfile(member)
                    contents[name] = file.read() if file else b""
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError, MemoryError, zlib.error) as error:
        what = (
            "there is no such file" if isinstance(error, FileNotFoundError) else "no tar, or cut short; fetch it again"
        )
        raise SourceError(f"cannot read the devkit {devkit}: {what}") from error
    return contents


def wnids_of(mat: bytes) -> list[str]:
    """The WNIDs in a level 5 MAT-file, each at its first occurrence; text may stand in one or two bytes a letter.

    Form: MathWorks, MAT-File Format, 1: a header of 128 bytes, then elements of (type, size, data), perhaps deflated.
    """
    at, text = 128, b""
    while at + 8 <= len(mat):
        kind, size = (int.from_bytes(mat[at + i : at + i + 4], "little") for i in (0, 4))
        element = mat[at + 8 : at + 8 + size]
        if kind == _MI_COMPRESSED:
            try:
                element = zlib.decompressobj().decompress(element, _MAX_BYTES)
            except zlib.error:
                element = b""
        text += element + b"\n"
        at += 8 + size
    return list(dict.fromkeys(match[0].replace(b"\0", b"").decode() for match in _WNID.finditer(text)))
