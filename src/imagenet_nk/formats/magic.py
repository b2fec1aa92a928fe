"""Saying what a file is that is not what was asked for: by its first bytes, whatever its name says."""

from __future__ import annotations

HEAD = 2048  # bytes from the beginning that tell

_BEGINNINGS = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script")


def is_page(head: bytes) -> bool:
    """Whether a file that begins so is HTML; XML that only mentions HTML is not."""
    text = head[:HEAD].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    while text.startswith((b"<!--", b"<?xml")):
        text = text.partition(b"-->" if text.startswith(b"<!--") else b"?>")[2].lstrip()
    return text.startswith(_BEGINNINGS)


EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "WEBP": "webp", "BMP": "bmp", "TIFF": "tif"}


def sniff(data: bytes) -> str | None:
    """Format by its first bytes, a key of EXTENSIONS; None for anything else."""
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM":
        return "BMP"
    if data[:4] in (b"II*\0", b"MM\0*"):
        return "TIFF"
    return None


HEAD = 2048  # bytes from the beginning that tell

_MAGIC = (
    (b"\x1f\x8b", "gzip'ed"),
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "packed with bzip2"),
    (b"\xfd7zXZ\0", "packed with xz"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"PAR1", "a parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"RIFF", "a RIFF file, such as a WebP picture"),
    (b"%PDF", "a PDF"),
    (b"SQLite format 3", "an SQLite data base"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x7fELF", "a program"),
)
_TAR, _TAR_AT = b"ustar", 257
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")


def kind_of(head: bytes) -> str:
    """What a file that begins so is, as in "it is ..."; "" for what may be text in UTF-8 or another ASCII superset."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        return "a tar"
    if is_utf16(head):
        return "UTF-16 text"
    if is_page(head):
        return "a web page"
    return "no text" if b"\0" in head[:HEAD] else ""


def is_utf16(head: bytes) -> bool:
    """Whether text in UTF-16 begins so; without its mark, every second byte of Western text is 0."""
    halves, zeros = _halves(head)
    return head.startswith(_BYTE_ORDER_MARKS) or (min(zeros) == 0 and 0 < 2 * len(halves[1]) <= 3 * max(zeros))


def _halves(head: bytes) -> tuple[tuple[bytes, bytes], list[int]]:
    """The first and the second bytes of the pairs that text begins with, and how many zeros are among each."""
    halves = head[:64:2], head[1:64:2]
    return halves, [half.count(0) for half in halves]
