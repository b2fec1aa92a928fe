"""The formats of files by their first bytes, whatever their names say."""

from __future__ import annotations

HEAD = 2048  # bytes from the beginning that kind_of() needs
GZIP, PARQUET, TAR, JPEG = b"\x1f\x8b", b"PAR1", b"ustar", b"\xff\xd8\xff"
TAR_OFFSET = 257  # of TAR within the first header

EXTENSIONS = {
    "JPEG": "jpg", "PNG": "png", "GIF": "gif", "WEBP": "webp", "BMP": "bmp", "TIFF": "tif",
    "AVIF": "avif", "HEIF": "heic", "JXL": "jxl",
}  # fmt: skip
IMAGE_SUFFIXES = (".jpeg", ".jpe", ".jfif", ".tiff", ".heif", *(f".{extension}" for extension in EXTENSIONS.values()))


_IMAGES = (
    (JPEG, "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\xff\x0a", "JXL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
)
_AVIF = {b"avif", b"avis"}  # brands of ISO base media files
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_KINDS = (
    (GZIP, "gzip'ed"),
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "packed with bzip2"),
    (b"\xfd7zXZ\0", "packed with xz"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (PARQUET, "a parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"\x89PNG", "a PNG picture"),
    (JPEG, "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"RIFF", "a RIFF file, such as a WebP picture"),
    (b"%PDF", "a PDF"),
    (b"SQLite format 3", "an SQLite data base"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x7fELF", "a program"),
)
_PAGES = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script")
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")


def sniff(data: bytes) -> str | None:
    """The image format of a file, a key of EXTENSIONS; None for anything else."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        brands = {data[8:12], *(data[at : at + 4] for at in range(16, min(int.from_bytes(data[:4], "big"), 64), 4))}
        return "AVIF" if brands & _AVIF else "HEIF" if brands & _HEIF else None
    return next((name for magic, name in _IMAGES if data.startswith(magic)), None)


def kind_of(head: bytes) -> str:
    """What a file is, as in "it is ..."; "" if it may be text in UTF-8 or another superset of ASCII."""
    for magic, name in _KINDS:
        if head.startswith(magic):
            return name
    if head[TAR_OFFSET : TAR_OFFSET + len(TAR)] == TAR:
        return "a tar"
    if _is_utf16(head):
        return "UTF-16 text"
    if is_page(head):
        return "a web page"
    return "no text" if b"\0" in head[:HEAD] else ""


def is_page(head: bytes) -> bool:
    """Whether a file is HTML; XML that only mentions HTML is not."""
    text = head[:HEAD].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    while text.startswith((b"<!--", b"<?xml")):
        text = text.partition(b"-->" if text.startswith(b"<!--") else b"?>")[2].lstrip()
    return text.startswith(_PAGES)


def _is_utf16(head: bytes) -> bool:
    """Whether text is UTF-16; without a byte order mark, every second byte of Western text is 0."""
    even, odd = head[:64:2], head[1:64:2]
    zeros = even.count(0), odd.count(0)
    return head.startswith(_BYTE_ORDER_MARKS) or (min(zeros) == 0 and 0 < 2 * len(odd) <= 3 * max(zeros))
