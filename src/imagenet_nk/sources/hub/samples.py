"""The samples of a WebDataset tar: files that share their path up to the first dot of the file name."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from imagenet_nk.errors import SourceError
from imagenet_nk.formats.magic import IMAGE_SUFFIXES
from imagenet_nk.sources.local.tars import TarEntry, read_range
from imagenet_nk.wording import first_few, one_line

_MAX_LABEL_BYTES = 1 << 20
_INPUTS = ("input", "image", "img", "x")  # what the image to classify is called where a sample has several
_TARGETS = ("target", "label", "y")
_FIELDS = ("wnid", "synset", "label", "cls")  # of .json, in order of preference

Sample = dict[str, TarEntry]  # extension in lower case, such as `jpg` or `input.jpg`, to entry


def samples(files: Iterable[TarEntry], where: str) -> dict[str, Sample]:
    """The samples of a tar by key, in its order; their files need not follow each other.

    The key and the extension are those of the format (webdataset.tariterators.base_plus_ext). Raises SourceError for a
    file that is there twice.
    """
    found: dict[str, Sample] = {}
    for entry in files:
        path = PurePosixPath(entry.path)
        stem, _, extension = path.name.partition(".")
        key = str(path.with_name(stem)) if stem else str(path)
        parts, extension = found.setdefault(key, {}), extension.lower()
        if extension in parts:
            raise SourceError(f"{where}: sample {key} has two files .{extension}; make the tar again")
        parts[extension] = entry
    return found


def image_of(sample: Sample, where: str) -> TarEntry | None:
    """The image of a sample; None without one. Raises SourceError if several could be it."""
    images = {ext: e for ext, e in sorted(sample.items()) if f".{ext}".endswith(IMAGE_SUFFIXES) and e.size}
    return _choose(images, _INPUTS, f"{where} has several images")


def label_of(tar: Path, sample: Sample, where: str) -> int | str | None:
    """The text of .cls, or `wnid`, `synset`, `label` or `cls` of .json; None without. Raises SourceError."""
    try:
        classes = {ext: e for ext, e in sorted(sample.items()) if f".{ext}".endswith(".cls")}
        if cls := _choose(classes, _TARGETS, f"{where} has several labels"):
            return _read_label(tar, cls).decode().strip()
        if sidecar := sample.get("json"):
            fields: Any = json.loads(_read_label(tar, sidecar))
            return next((fields[name] for name in _FIELDS if name in fields), None)
    except (ValueError, TypeError, KeyError) as error:
        raise SourceError(f"{where}: its label cannot be read: {one_line(error)}") from error
    return None


def describe_contents(files: Iterable[Mapping[str, TarEntry]]) -> str:
    """The extensions of files, for a message about a tar that has no image."""
    return first_few(sorted({f".{extension}" for sample in files for extension in sample}))


def _choose(found: Sample, preferred: Collection[str], problem: str) -> TarEntry | None:
    """The file with a plain extension, else the one whose multi-part extension begins so, else the only one."""
    plain = [entry for extension, entry in found.items() if "." not in extension]
    named = [entry for extension, entry in found.items() if extension.partition(".")[0] in preferred]
    if len(found) > 1 and not plain and len(named) != 1:
        raise SourceError(f"{problem}: {', '.join(f'.{extension}' for extension in found)}")
    return next(iter(plain or named or found.values()), None)


def _read_label(tar: Path, entry: TarEntry) -> bytes:
    if entry.size > _MAX_LABEL_BYTES:
        raise ValueError(f"{entry.name} has {entry.size} bytes")
    return read_range(f"{tar}#{entry.range}") if entry.size else b""
