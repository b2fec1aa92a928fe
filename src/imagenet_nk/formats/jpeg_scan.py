"""The segments of a JPEG: its frame, and how often a decoder passes over its coefficients (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SOS, _EOI, _APP1 = 0xDA, 0xD9, 0xE1
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = (0xC0, 0xC1)
_SLOW = frozenset({0xC3, 0xC7, *range(0xC9, 0xD0)})  # lossless, or arithmetic coding
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MAX_SCANS = 1000  # of these each costs something even in a tiny image


@dataclass
class Frame:
    """What the segments of a JPEG say; sides are 0 if there is no frame."""

    kind: int = 0  # second byte of the frame's marker
    width: int = 0
    height: int = 0
    samples: dict[int, int] = field(default_factory=dict)  # of each component, padded to whole blocks, by its id
    segments: int = 0  # before the first scan, and bytes of padding between them
    scans: int = 0
    coefficients: int = 0  # that all scans pass over
    exif_bytes: int = 0

    @property
    def is_buffered(self) -> bool:
        """Whether a decoder holds all coefficients: a progressive image, or one of several scans."""
        return self.kind not in _SEQUENTIAL or self.scans > 1

    @property
    def seconds(self) -> float:
        """Of entropy decoding, beside what each pixel and byte of any JPEG takes."""
        return self.coefficients * (15e-9 if self.kind in _SLOW else 0.5e-9) if self.is_buffered else 0.0

    @property
    def ns_per_byte(self) -> int:
        """Of entropy decoding."""
        return 120 if self.kind in _SLOW else 40 if self.is_buffered else 12


def scan(data: bytes, max_segments: int) -> Frame:
    """Read the segments up to the first scan, then find the others; ends where there are more than `max_segments`."""
    frame, place = Frame(), 2
    while frame.segments <= max_segments and (found := _MARKER.search(data, place)):
        start = found.start()
        frame.segments += 1 + start - place
        marker = data[start + 1]
        if marker == _SOS:
            _add_scans(frame, data, start)
            break
        if marker == _EOI:
            break
        if marker in _FRAMES:
            _add_frame(frame, data, start)
        elif marker == _APP1 and data[start + 4 : start + 8] == b"Exif":
            frame.exif_bytes += int.from_bytes(data[start + 2 : start + 4], "big")
        place = start + 2 + (0 if marker in _ALONE else int.from_bytes(data[start + 2 : start + 4], "big"))
    return frame


def _add_frame(frame: Frame, data: bytes, start: int) -> None:
    height, width = (
        int.from_bytes(data[start + 5 : start + 7], "big"),
        int.from_bytes(data[start + 7 : start + 9], "big"),
    )
    if width * height < frame.width * frame.height:
        return  # a decoder takes no second frame; whichever costs more counts
    parts = data[start + 10 : start + 10 + 3 * data[start + 9]]
    factors = {parts[at]: (parts[at + 1] >> 4, parts[at + 1] & 15) for at in range(0, len(parts) - 2, 3)}
    widest, highest = (max([1, *(pair[axis] for pair in factors.values())]) for axis in (0, 1))
    across, down = -(-width // (8 * widest)), -(-height // (8 * highest))
    frame.kind, frame.width, frame.height = data[start + 1], width, height
    frame.samples = {name: across * down * 64 * h * v for name, (h, v) in factors.items()}


def _add_scans(frame: Frame, data: bytes, start: int) -> None:
    """Count the scans from the first on; a marker cannot occur in the data of a scan.

    A decoder takes no second scan after a sequential one of all components.
    """
    while start >= 0 and frame.scans <= _MAX_SCANS:
        names = data[start + 5 : start + 5 + 2 * data[start + 4] : 2]
        frame.scans += 1
        frame.coefficients += sum(frame.samples.get(name, 0) for name in names) + 1000 * len(names)
        if frame.kind in _SEQUENTIAL and len(names) >= len(frame.samples):
            return
        start = data.find(b"\xff\xda", start + 2)
        if start >= 0 and start + 5 > len(data):
            return
