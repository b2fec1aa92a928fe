"""The data set folder as a whole: whose it is, what is known of it, its files and tables once classes are settled."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from imagenet_nk import storage
from imagenet_nk.classes import LabelMap
from imagenet_nk.collect import results
from imagenet_nk.collect.attempts import fact_of, file_of
from imagenet_nk.collect.fill import Fact
from imagenet_nk.collect.ledger import Ledger
from imagenet_nk.collect.store import IMAGES, Store, translated
from imagenet_nk.config import Materialize, Retry
from imagenet_nk.errors import DatasetError
from imagenet_nk.sampling import Split

log = logging.getLogger(__name__)

_BY_SETTING = frozenset({"forbidden", "opt_out", "robots"})  # it cost little, and http.* may have changed since
KEPT, UNREACHED = "kept", "unreached"  # verdicts of the ledger besides reasons
TERMS = "TERMS.txt"


@dataclass(frozen=True)
class Summary:
    """What a data set came to."""

    classes: int
    kept: int
    tried: int  # candidates that the draw order reached
    short: tuple[str, ...]  # WNIDs of the classes with fewer images than wanted
    reasons: Mapping[str, int]
    sources: Mapping[str, int]  # kept images by the source that gave them
    shared: int  # kept images whose pixels stand in another class as well


class Walked(Protocol):
    """What the draw order of a class came to."""

    @property
    def wnid(self) -> str: ...

    def verdicts(self) -> Mapping[tuple[str, int, str], str]:
        """By (source, rank, key) of every candidate that was reached: why it is not kept, or ""."""


class DataSet:
    """One data set folder, open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(folder)
        self.ledger = Ledger(folder)

    # --- whose it is

    def check(self, draw: Mapping[str, object]) -> None:
        """Raise DatasetError if the folder was made by another draw than this: {"seed": 0, "source": ...}."""
        stamp = self.ledger.meta().get("draw", {})
        for name, value in draw.items():
            if (made_with := stamp.get(name, value)) == value:
                continue
            back = "give it that one" if name == "identity" else f"type {name}={made_with}"
            what = (
                f"from {made_with}, not {value}"
                if name == "identity"
                else f"with {name}={made_with}, not {name}={value}"
            )
            raise DatasetError(
                f"{self.folder} was made {what}: {back} to go on with it, or dataset.dir=ANOTHER for one of its own"
            )

    @property
    def begun(self) -> bool:
        """Whether the first source has been open for this folder."""
        return "identity" in self.ledger.meta().get("draw", {})

    def claim(self, draw: Mapping[str, object]) -> None:
        """Make the folder that of a draw, once it is known that there is something to draw from."""
        self.check(draw)
        self.ledger.note({"draw": {**self.ledger.meta().get("draw", {}), **draw}})

    # --- what is known of it

    def ask(self, wnids: Sequence[str], nk: int | None, materialize: Mapping[str, Materialize]) -> None:
        """Note what a collection is after, for whoever finds the folder if that collection is killed."""
        self.ledger.note({"asked": {"wnids": list(wnids), "nk": nk, "materialize": dict(materialize)}})

    def facts(self, wnid: str, retry: Retry) -> dict[tuple[str, int, str], Fact]:
        """What earlier runs settled of a class, by (source, rank, key), without what is to be asked again.

        An image counts only if its file is still there and whole.
        """
        return known(self.ledger.settled(wnid), self.store.sizes(wnid), retry)

    def is_done(self, fingerprint: str, wnids: Sequence[str]) -> bool:
        """Whether a run with this fingerprint has ended here, and all that it kept is still there."""
        if self.ledger.meta().get("done") != fingerprint:
            return False
        return all(self._whole(wnid) for wnid in wnids)

    def _whole(self, wnid: str) -> bool:
        sizes = self.store.sizes(wnid)
        kept = [row for row in self.ledger.settled(wnid) if row["verdict"] == KEPT]
        return all(
            sizes.get(file_of(row)) == row["bytes"] or (row["path"] and Path(row["path"]).is_file()) for row in kept
        )

    # --- when classes are settled

    def settle(self, walks: Sequence[Walked], materialize: Mapping[str, Materialize], fingerprint: str) -> None:
        """Write the verdicts of the whole run, and make images/ hold exactly what is kept."""
        self.ledger.flush()
        self.ledger.note({"done": ""})  # from here on it is no longer what an earlier run left
        for walk in walks:
            self._settle_class(walk, materialize)
        self.ledger.note({"done": fingerprint})

    def _settle_class(self, walk: Walked, materialize: Mapping[str, Materialize]) -> None:
        walked = walk.verdicts()
        verdicts, keep, unwanted = [], set[str](), set[str]()
        for row in self.ledger.settled(walk.wnid):
            verdict = walked.get((row["source"], row["rank"], row["key"]), UNREACHED) or KEPT
            if verdict != row["verdict"]:
                verdicts.append((verdict, row["id"]))
            if row["reason"]:
                continue
            if verdict == KEPT:
                keep.add(file_of(row))
                if row["path"] and materialize[row["source"]] != Materialize.none:
                    self.store.adopt(walk.wnid, file_of(row), Path(row["path"]), materialize[row["source"]])
            elif verdict != UNREACHED:
                unwanted.add(file_of(row))
        self.store.settle(walk.wnid, keep, unwanted - keep)
        self.ledger.judge(verdicts)

    # --- its tables

    def write_tables(
        self, label_map: LabelMap, nk: int | None, split: Split, materialize: Mapping[str, Materialize]
    ) -> Summary:
        """Write manifest.parquet, manifest.csv and classes.csv out of the ledger; returns what they add up to."""
        images: list[dict[str, object]] = []
        classes: list[results.Row] = []
        pixels: Counter[int] = Counter()
        for position, wnid in enumerate(label_map.wnids):
            rows = list(self.ledger.settled(wnid))
            kept = [row for row in rows if row["verdict"] == KEPT]
            reasons = Counter(row["verdict"] for row in rows if row["verdict"] not in (KEPT, UNREACHED, ""))
            images.extend(self._images(label_map, wnid, kept, split, materialize))
            pixels.update({row["pixels"] for row in kept})
            classes.append(_class_row(label_map, position, nk, len(kept), reasons))
        frame = results.manifest(images)
        table = results.classes(classes)
        with translated(self.folder):
            results.write_parquet(frame, self.folder / results.MANIFEST)
            results.write_csv(frame, self.folder / "manifest.csv")
            results.write_csv(table, self.folder / "classes.csv")
        return Summary(
            classes=len(table),
            kept=len(frame),
            tried=int(table["tried"].sum()),
            short=tuple(table.loc[table["kept"] < table["wanted"], "wnid"]),
            reasons=dict(sum((row.reasons for row in classes), Counter[str]()).most_common()),
            sources=dict(Counter(frame["source"])),
            shared=sum(count for count in pixels.values() if count > 1),
        )

    def _images(
        self, label_map: LabelMap, wnid: str, kept: Sequence[Any], split: Split, materialize: Mapping[str, Materialize]
    ) -> Iterator[dict[str, object]]:
        held_out = split.held_out(len(kept))
        for position, row in enumerate(kept):
            in_place = row["path"] and materialize.get(row["source"]) == Materialize.none
            yield {
                **{name: row[name] for name in results.MANIFEST_COLUMNS if name in row.keys()},  # noqa: SIM118
                "label": label_map.label(wnid),
                "path": row["path"] if in_place else f"{IMAGES}/{wnid}/{file_of(row)}",
                "split": "eval" if position < held_out else "train",
            }

    def write_terms(self, texts: Sequence[str]) -> None:
        """Write TERMS.txt."""
        text = "\n\n".join(dict.fromkeys(text.strip() for text in texts if text))
        with translated(self.folder):
            storage.write_text(self.folder / TERMS, text + "\n")

    def close(self) -> None:
        self.ledger.close()


def _class_row(label_map: LabelMap, position: int, nk: int | None, kept: int, reasons: Counter[str]) -> results.Row:
    fixed = {
        "label": label_map.labels[position],
        "wnid": label_map.wnids[position],
        "name": label_map.names[position],
        "wanted": kept if nk is None else nk,
        "kept": kept,
        "tried": kept + reasons.total(),
    }
    return results.Row(fixed, reasons, {"words": label_map.words[position], "gloss": label_map.glosses[position]})


def known(
    rows: Iterable[Mapping[str, Any] | sqlite3.Row], sizes: Mapping[str, int], retry: Retry, since: float = math.inf
) -> dict[tuple[str, int, str], Fact]:
    """Facts by (source, rank, key) out of settled rows of a class: all but what is to be asked again.

    `sizes`: bytes of the class's files by name. `since`: rows with a higher id are of this very run, which asks nothing
    twice.
    """
    facts = {}
    for row in rows:
        if not row["reason"]:
            true = Path(row["path"]).is_file() if row["path"] else sizes.get(file_of(row)) == row["bytes"]
        elif row["reason"] in _BY_SETTING:
            true = row["id"] > since
        else:
            passing = retry == Retry.failed or (retry == Retry.transient and row["transient"])
            true = row["id"] > since or not passing
        if true:
            facts[row["source"], row["rank"], row["key"]] = fact_of(row)
    return facts


def fingerprint(settings: Mapping[str, object]) -> str:
    """A digest of the settings that a settled data set depends on; files that they name count with size and time."""
    text = json.dumps(_stamped(settings), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _stamped(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _stamped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_stamped(item) for item in value]
    if isinstance(value, str) and 0 < len(value) < 4096 and "\0" not in value and Path(value).is_file():
        stat = Path(value).stat()
        return [value, stat.st_size, stat.st_mtime_ns]
    return value
