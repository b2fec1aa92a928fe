"""What is on record about a data set folder as a whole: its draw, what the last run requested, and how that ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from imagenet_nk.config.sources import Materialize
from imagenet_nk.dataset.ledger import Ledger
from imagenet_nk.errors import DatasetError

Target = Callable[[str], int | None]  # images of a class by its WNID; None = all that there are


class RequestedImages(NamedTuple):
    """What a collection requested."""

    wnids: list[str]
    nk: int | None  # images of a class; None = all that there are
    materialize: dict[str, Materialize]  # by source


class FolderState:
    """The table `meta` of the ledger."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self._folder, self._ledger = folder, ledger

    # --- the draw that made the folder: {"seed": 0, "sampling": ..., "identity": ...}

    def check_draw(self, draw: Mapping[str, object]) -> None:
        """Raise DatasetError if the folder was made by another draw than this."""
        recorded = self._ledger.get_meta("draw") or {}
        for name, value in draw.items():
            if (made_with := recorded.get(name, value)) != value:
                difference, remedy = explain_mismatch(name, str(made_with), str(value))
                raise DatasetError(
                    f"{self._folder} was made {difference}: {remedy} to continue with it, or type dataset.dir=ANOTHER"
                )

    def bind_to_draw(self, draw: Mapping[str, object]) -> None:
        """Make the folder that of a draw, once it is known that there is something to draw from."""
        self.check_draw(draw)
        self._ledger.set_meta("draw", {**(self._ledger.get_meta("draw") or {}), **draw})

    @property
    def first_source_opened(self) -> bool:
        """Whether the first source has ever been open for this folder."""
        return "identity" in (self._ledger.get_meta("draw") or {})

    # --- the last run

    def note_request(self, wnids: Sequence[str], nk: int | None, materialize: Mapping[str, Materialize]) -> None:
        """Note what a collection requests, for the run that finds the folder if this one is killed."""
        self._ledger.set_meta("asked", {"wnids": list(wnids), "nk": nk, "materialize": dict(materialize)})

    @property
    def request(self) -> RequestedImages | None:
        """What the last collection requested; None if there was none."""
        if not (noted := self._ledger.get_meta("asked")):
            return None
        materialize = {name: Materialize(how) for name, how in noted["materialize"].items()}
        return RequestedImages(noted["wnids"], noted["nk"], materialize)

    def set_targets(self, targets: Mapping[str, int]) -> None:
        """Note how many images of a class a list or a manifest names, where nk=null wants all of them."""
        self._ledger.set_meta("named", dict(targets))

    @property
    def named_targets(self) -> dict[str, int]:
        """What set_targets() noted, by WNID."""
        return self._ledger.get_meta("named") or {}

    def target_of(self, nk: int | None) -> Target:
        """How many images of a class a run with this nk wants."""
        targets = self.named_targets
        return lambda wnid: targets.get(wnid) if nk is None else nk

    @property
    def completed_by(self) -> str:
        """The completion stamp of the last run that ended here; "" if the same command is to continue."""
        return self._ledger.get_meta("done") or ""

    def set_completed_by(self, stamp: str) -> None:
        self._ledger.set_meta("done", stamp)


# --- how the folder was made, in the words of what the user typed

_IDENTITIES = {  # beginning of a source's identity: what differs, and what to type
    "manifest:": ("from another manifest", "type the source.path of that one"),
    "urls/": ("from another list of addresses", "type the source.list of that one"),
    "archive/": ("from another archive", "type the source.train, .synset or .val of that one"),
}
_REPLACE = ":replace"  # ends the identity of source=manifest source.replace=true


def explain_mismatch(name: str, old: str, new: str) -> tuple[str, str]:
    """How the folder was made ("with seed=0, not seed=1"), and what to type to continue with it ("type seed=0").

    `name`: of the part of the draw that differs.
    """
    if name == "sampling":
        return _explain_sampling(old, new)
    if name != "identity":
        return f"with {name}={old}, not {name}={new}", f"type {name}={old}"
    if old.removesuffix(_REPLACE) == new.removesuffix(_REPLACE):
        replaced, replaces = (str(identity.endswith(_REPLACE)).lower() for identity in (old, new))
        return f"with source.replace={replaced}, not source.replace={replaces}", f"type source.replace={replaced}"
    if old.startswith("full:") and new.startswith("full:"):
        return f"from {_folder_settings(old)}, not {_folder_settings(new)}", "type that"
    for beginning, explanation in _IDENTITIES.items():
        if old.startswith(beginning) and new.startswith(beginning):
            return explanation
    return f"from {old}, not {new}", "give it that one"


def _folder_settings(identity: str) -> str:
    root, _, part = identity.removeprefix("full:").rpartition(":")
    return f"source.root={root} source.part={part}"


def _explain_sampling(old: str, new: str) -> tuple[str, str]:
    """For the identities `random`, and `list:` with a digest of the names."""
    if old.startswith("list:") and new.startswith("list:"):
        return "with another list of names", "type the sampling.path of that one"
    old_kind, new_kind = old.partition(":")[0], new.partition(":")[0]
    path = " and its sampling.path" if old_kind == "list" else ""
    return f"with sampling={old_kind}, not sampling={new_kind}", f"type sampling={old_kind}{path}"
