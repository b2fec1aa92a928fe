"""Which run a report is about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imagenet_nk.centers.file import NAME as CENTERS
from imagenet_nk.centers.file import load_centers
from imagenet_nk.errors import CentersError, DatasetError
from imagenet_nk.lists import stage
from imagenet_nk.progress.stage_timer import FILE_NAME as STAGES
from imagenet_nk.report.run_data import read_yaml
from imagenet_nk.storage import files


def select_run(run_dir: str | None, output: Path, folder: Path, runs: Path) -> Path:
    """The output folder that a report is about: the one named, else this run's own if it made centers.

    Else the newest one below `runs` that was to make centers of this data set, whether it came to its end or not;
    centers of other lists than the data set has now do not count. Else this run's.
    Raises DatasetError for a named folder that is not there.
    """
    if run_dir is not None:
        if not Path(run_dir).is_dir():
            raise DatasetError(
                f"report.run={run_dir} is no folder; name the output folder of a run, as outputs/DATE/TIME"
            )
        return Path(run_dir)
    if (output / CENTERS).is_file() or not runs.is_dir():
        return output
    digest = stage.digest(folder)  # "" if it was stopped before it had lists
    others = (run for run in _runs_newest_first(runs) if run.resolve() != output.resolve())
    return next((run for run in others if _belongs_to(run, folder, digest)), output)


def _runs_newest_first(runs: Path) -> Iterator[Path]:
    """By the time of what they wrote last before a report."""
    written: dict[Path, float] = {}
    for path in (path for name in (CENTERS, STAGES) for path in runs.rglob(name)):
        written[path.parent] = max(written.get(path.parent, 0.0), path.stat().st_mtime)
    yield from sorted(written, key=lambda run: written[run], reverse=True)


def _belongs_to(run: Path, folder: Path, digest: str) -> bool:
    if (run / CENTERS).is_file():
        return bool(digest) and _list_sha256(run / CENTERS) == digest
    if any(run.glob(f"*/{CENTERS}")):  # of several backbones: each has a folder of its own
        return False
    config = read_yaml(run / ".hydra" / "config.yaml", {})
    return "centers" in (config.get("stages") or ()) and _data_set(run, config) == folder.resolve()


def _data_set(run: Path, config: dict[str, Any]) -> Path | None:
    """Where its data set was, from the folder in which it was started."""
    try:
        started_in = read_yaml(run / ".hydra" / "hydra.yaml", {})["hydra"]["runtime"]["cwd"]
        folder = files.resolve(config["dataset"]["dir"])
        return (folder if files.is_remote(folder) else Path(started_in, folder)).resolve()
    except (KeyError, TypeError):
        return None


def _list_sha256(path: Path) -> str:
    try:
        return load_centers(path).metadata.get("list_sha256", "")
    except CentersError:
        return ""
