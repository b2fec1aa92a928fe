"""What a worker makes of a class, in the form in which the driver keeps it: small, for there may be ten million images.

What crosses classes is counted over these. A worker counts what its own classes reach and throws a placeholder out as
soon as it knows one; but three addresses of one picture may stand in classes of three workers. So when all classes are
through, the driver counts over all of them, and the classes that reach something newly known go back to be walked
again, until nothing changes. Every count is over what draw orders *reached*, and a class only ever reaches further as
images are thrown out: whoever counts, and when, it is the same least fixpoint as in one process (see repeats.py).
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from imagenet_nk.collect.scheduling.class_quota import ClassQuota

_Words = npt.NDArray[np.uint64]
_BY_CONTENT, _BY_PIXELS = (
    1,
    2,
)  # bits: a placeholder with these bytes, or a share of these pixels, would change the walk


@dataclass(frozen=True, slots=True)
class Walk:
    """A class that is through. The arrays have one entry an image that was reached."""

    wnid: str
    kept: int
    full: bool
    short: bool
    contents: _Words
    pixels: _Words
    addresses: _Words  # hashes; 0 for what is no address
    open_to: npt.NDArray[np.uint8]  # bits _BY_CONTENT, _BY_PIXELS
    packed: bytes  # (source, rank, key) and verdict of everything that was passed

    @classmethod
    def of(cls, fill: ClassQuota) -> Walk:
        """Of a class as far as it was walked."""
        images = [(fact, verdict) for fact, verdict in fill.walked() if not fact.reason and verdict != "redrawn"]
        return cls(
            fill.wnid,
            len(fill.walk.kept),
            fill.full,
            fill.short,
            words(fact.content for fact, _ in images),
            words(fact.pixels for fact, _ in images),
            words(_address(fact.url) for fact, _ in images),
            np.array([_open_to(verdict) for _, verdict in images], np.uint8),
            zlib.compress(pickle.dumps(fill.verdicts(), pickle.HIGHEST_PROTOCOL), 1),
        )

    def verdicts(self) -> dict[tuple[str, int, str], str]:
        """As Fill has them."""
        result: dict[tuple[str, int, str], str] = pickle.loads(zlib.decompress(self.packed))  # noqa: S301 - our own
        return result

    def touched_by(self, placeholders: _Words, shared: _Words) -> bool:
        """Whether it would go otherwise if these contents were placeholders', or these pixels shared."""
        by_content = np.isin(self.contents, placeholders) & (self.open_to & _BY_CONTENT > 0)
        by_pixels = np.isin(self.pixels, shared) & (self.open_to & _BY_PIXELS > 0)
        return bool(by_content.any() or by_pixels.any())


def placeholders(walks: Sequence[Walk], repeats: int) -> set[int]:
    """Contents that come from at least so many addresses."""
    contents, addresses = _together(walk.contents for walk in walks), _together(walk.addresses for walk in walks)
    contents, addresses = contents[addresses > 0], addresses[addresses > 0]
    often = np.isin(contents, _at_least(contents, repeats))
    pairs = np.unique(np.stack([contents[often], addresses[often]]), axis=1)
    return set(_at_least(pairs[0], repeats).tolist())


def shared(walks: Sequence[Walk]) -> set[int]:
    """Pixels that stand in two classes."""
    return set(_at_least(_together(np.unique(walk.pixels) for walk in walks), 2).tolist())


def words(values: Iterable[int]) -> _Words:
    """Unsigned numbers of 64 bits as an array."""
    return np.fromiter(values, np.uint64)


def _together(arrays: Iterable[_Words]) -> _Words:
    return np.concatenate([*arrays, np.empty(0, np.uint64)])


def _at_least(values: _Words, times: int) -> _Words:
    found, counts = np.unique(values, return_counts=True)
    return found[counts >= times]


def _address(url: str) -> int:
    """A hash that is the same on every machine; files that someone has by choice betray nothing."""
    if "://" not in url:
        return 0
    return int.from_bytes(blake2b(url.encode(errors="surrogatepass"), digest_size=8).digest(), "little") or 1


def _open_to(verdict: str) -> int:
    return (_BY_CONTENT if verdict != "placeholder" else 0) | (_BY_PIXELS if verdict in ("", "near_duplicate") else 0)
