"""What a data set folder and a run's output folder say about themselves, read once. Whatever is missing is empty."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from imagenet_nk.centers.file import NAME as CENTERS
from imagenet_nk.centers.file import Centers, load_centers
from imagenet_nk.dataset.class_table import read_csv
from imagenet_nk.dataset.folder_layout import MANIFEST
from imagenet_nk.dataset.manifest import read_manifest
from imagenet_nk.errors import DatasetError
from imagenet_nk.lists import stage as listing
from imagenet_nk.progress.stage_timer import Stage, read_stages
from imagenet_nk.storage import files

CLASSES = "classes.csv"
_FIXED = ("label", "wnid", "name", "wanted", "kept", "tried", "words", "gloss")


@dataclass(frozen=True)
class RunData:
    """A data set and one run over it."""

    folder: Path
    home: Path  # where ledger and embeddings are
    run: Path
    classes: pd.DataFrame  # row k = class k, by label: label, wnid, name, wanted, kept, tried, words
    reasons: pd.DataFrame  # row k = class k; a column a rejection reason, most frequent first
    images: pd.DataFrame  # the manifest in list order, with `row` (its class) and `position` (in the class)
    centers: Centers | None
    metrics: Mapping[str, Any]
    config: Mapping[str, Any]  # as .hydra/config.yaml has it
    overrides: Sequence[str]  # what was typed
    choices: Mapping[str, str]  # group to member
    stages: Sequence[Stage]
    outcome: Mapping[str, Any]
    stale_centers: Centers | None = (
        None  # the run's centers, where they are of another list: nothing is drawn from them
    )

    def setting(self, dotted: str) -> Any:
        """A value of the configuration by its key; None if the run left none."""
        value: Any = self.config
        for name in dotted.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value


def gather(folder: Path, run: Path, home: Path | None = None) -> RunData:
    """Read it all. Raises DatasetError if the folder holds no data set, CentersError for a broken centers file."""
    for name in (MANIFEST, CLASSES):
        if not files.is_file(folder / name):
            raise DatasetError(f"{folder} holds no {name}: run the stage collect first, stages=[collect,lists,report]")
    table = _table(folder / CLASSES).sort_values("label", ignore_index=True)
    table = table.astype({"wnid": str, "name": str})
    classes = table[[name for name in _FIXED if name in table]]
    settings_dir = _settings_folder(run)
    hydra = settings_dir / ".hydra"
    centers = load_centers(run) if (run / CENTERS).is_file() else None
    ours = centers is None or _same_list(centers, folder)
    return RunData(
        folder=folder,
        home=home or folder,
        run=run,
        classes=classes,
        reasons=table.drop(columns=classes.columns),
        images=_with_class_rows(read_manifest(folder), classes),
        centers=centers if ours else None,
        metrics=read_json(run / "metrics.json") if ours else {},
        config=read_yaml(hydra / "config.yaml", {}),
        overrides=read_yaml(hydra / "overrides.yaml", []),
        choices=_choices(read_yaml(hydra / "hydra.yaml", {})),
        stages=[stage for stage in read_stages(settings_dir) if stage.name != "report"],
        outcome=read_json(settings_dir / "outcome.json"),
        stale_centers=None if ours else centers,
    )


def _same_list(centers: Centers, folder: Path) -> bool:
    """Whether centers were made of the list that a data set has now."""
    return centers.metadata.get("list_sha256", "") in ("", listing.digest(folder))


def _table(path: Path) -> pd.DataFrame:
    return read_csv(path)


def _settings_folder(run: Path) -> Path:
    """Where a run's settings and stages are: in its folder, or above it if it is one of several backbones'."""
    return run.parent if not (run / ".hydra").is_dir() and (run.parent / ".hydra").is_dir() else run


def _with_class_rows(manifest: pd.DataFrame, classes: pd.DataFrame) -> pd.DataFrame:
    rows = dict(zip(classes["wnid"], classes.index, strict=True))
    images = manifest.fillna({name: "" for name in manifest.columns if manifest[name].dtype == "string"})
    images = images.assign(row=[rows.get(wnid, -1) for wnid in images["wnid"]])
    images = images[images["row"] >= 0].sort_values("row", kind="stable", ignore_index=True)
    return images.assign(position=images.groupby("row").cumcount())


def _choices(settings: Mapping[str, Any]) -> dict[str, str]:
    try:
        selected = settings["hydra"]["runtime"]["choices"]
        return {str(group): str(member) for group, member in selected.items()}
    except (KeyError, TypeError, AttributeError):
        return {}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none that can be read."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def read_yaml(path: Path, default: Any) -> Any:
    """A YAML value of the default's type; the default where there is none that can be read."""
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return default
    return read if isinstance(read, type(default)) else default
