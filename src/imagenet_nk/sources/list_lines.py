"""The lines of one class as image ids and addresses. Pure."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from imagenet_nk.sources.addresses import normal, usable
from imagenet_nk.sources.base import image_id

_UNUSUAL = re.compile(rb"[^\x21-\x7e\t\n]|[\"#<>\\^`{|}]")  # needs a look at each line, and bytes beyond ASCII do
_SERIAL = re.compile(rb"n\d{8}_[\x21-\x7e]{1,64}\Z")


@dataclass
class Lines:
    """Three columns of one length."""

    ids: list[bytes]
    urls: list[bytes]
    hashes: list[int]  # of the normal form of each address, within this process


def parse(block: bytes, wnid: str, broken: Counter[str]) -> Lines:
    """The usable lines of a block of whole lines of one class; the others are counted by kind in `broken`."""
    return _at_once(block) or _one_by_one(block, wnid, broken)


def _at_once(block: bytes) -> Lines | None:
    """The same as `_one_by_one` where nothing in the whole block is out of the ordinary; else None."""
    if _UNUSUAL.search(block):
        return None
    lines = block[:-1].split(b"\n")
    fields = block[:-1].replace(b"\t", b"\n").split(b"\n")
    ids, urls = fields[::2], fields[1::2]
    if len(fields) != 2 * len(lines) or block.count(b"\t") != len(lines) or b"" in urls:
        return None
    serials = b"".join(ids).replace(b"_", b"")
    if not serials.isalnum() or max(map(len, ids)) > 64 or max(map(len, urls)) > 2048 or min(map(len, ids)) < 11:
        return None
    parts = [url.split(b"/", 3) for url in urls]
    if {len(part) for part in parts} != {4} or not {part[0] for part in parts} <= {b"http:", b"https:"}:
        return None
    if b"" in {part[2] for part in parts} or any(part[1] or b":" in part[2] or b"?" in part[2] for part in parts):
        return None
    return Lines(ids, urls, [hash((part[2].lower(), part[3])) for part in parts])


def _one_by_one(block: bytes, wnid: str, broken: Counter[str]) -> Lines:
    kept = Lines([], [], [])
    for line in block.split(b"\n"):
        line = line.removesuffix(b"\r")
        if not line:
            continue
        serial, tab, raw = line.partition(b"\t")
        url = usable(raw.strip(b" \t")) if tab else None
        if b"\0" in line:
            broken["nul"] += 1
        elif not tab:
            broken["no_tab"] += 1
        elif not _SERIAL.match(serial):
            broken["bad_id"] += 1
        elif url is None:
            broken["no_address"] += 1
        else:
            host, _, path = normal(url).partition("/")
            kept.ids.append(image_id(wnid, serial.decode()).encode())
            kept.urls.append(url.encode())
            kept.hashes.append(hash((host.encode(), path.encode())))
    return kept
