"""Which candidates of a class come first, and which images are held out. Pure: no file is opened here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Protocol

from imagenet_nk.errors import ConfigError


def draw(seed: int, wnid: str, token: object) -> int:
    """A number below 2**64 that depends on (seed, wnid, token) alone: BLAKE2b of "seed/wnid/token", 8 bytes."""
    return int.from_bytes(blake2b(f"{seed}/{wnid}/{token}".encode(), digest_size=8).digest(), "big")


class Sampling(Protocol):
    """Which candidates of a class are tried, and in which order."""

    seed: int

    @property
    def identity(self) -> str:
        """What the order depends on beyond the seed; another identity is another data set."""

    def arrange(self, wnid: str, image_ids: Iterable[str]) -> list[str]:
        """Those of the class's image ids that are to be tried, in draw order."""

    def listed(self, wnid: str) -> Sequence[str] | None:
        """The image ids wanted of a class, in order, where a list names them; None where any will do."""


class RandomOrder:
    """Each image id draws its own number, so other ids, classes and threads cannot move it."""

    identity = "random"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def arrange(self, wnid: str, image_ids: Iterable[str]) -> list[str]:
        return sorted(image_ids, key=lambda image_id: (draw(self.seed, wnid, image_id), image_id))

    def listed(self, wnid: str) -> None:  # noqa: ARG002
        return None


class Split(Protocol):
    """Which of a class's images, given in draw order, go to eval.txt."""

    def held_out(self, kept: int) -> int:
        """How many of the first of `kept` images go to eval.txt; the rest go to train.txt."""


class EvalOnly:
    """All images in eval.txt, none in train.txt."""

    def __init__(self, eval_per_class: int | None = None) -> None:
        if eval_per_class is not None:
            raise ConfigError("split.eval_per_class goes with split=holdout; type split=holdout as well")

    def held_out(self, kept: int) -> int:
        return kept


class Holdout:
    """The first m images of each class in eval.txt, so that raising nk leaves the evaluation set as it was."""

    def __init__(self, eval_per_class: int | None) -> None:
        if eval_per_class is None or eval_per_class < 1:
            raise ConfigError(f"split.eval_per_class must be at least 1, got {eval_per_class}")
        self.eval_per_class = eval_per_class

    def held_out(self, kept: int) -> int:
        return min(kept, self.eval_per_class)
