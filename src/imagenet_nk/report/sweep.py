"""The backbones of a sweep side by side: comparison.csv, and the same as a page with a plot."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from imagenet_nk.centers.file import NAME as CENTERS
from imagenet_nk.centers.file import load_centers
from imagenet_nk.dataset.class_table import write_csv
from imagenet_nk.formats.numbers import parse_number
from imagenet_nk.report import metrics_table
from imagenet_nk.report.backbone_similarity import linear_cka_between
from imagenet_nk.report.page import render
from imagenet_nk.report.page.data import as_script
from imagenet_nk.report.run_data import read_json, read_yaml
from imagenet_nk.run_outcome import FAILED
from imagenet_nk.run_outcome import FILE as OUTCOME
from imagenet_nk.wording import plural

PAGE, TABLE = "comparison.html", "comparison.csv"
_SCRIPTS = ("dom.js", "tables.js", "scatter.js", "comparison.js")
_DISTANCES = ("euclidean", "cosine", "cl2n")
COLUMNS = [
    "job", "backbone", "weights", "overrides", "parameters", "gmacs", "dim", "images_per_s", "device",
    *(f"{distance}_top{n}" for distance in _DISTANCES for n in (1, 5)),
    "head_top1", "ncm_to_head_ratio", "within_between_ratio", "exit_code", "reason",
]  # fmt: skip


def write(sweep: Path) -> Path | None:
    """Write both into the folder of a sweep; returns the page, or None where no job has ended."""
    rows = list(_rows(sweep))
    similarity = linear_cka_between(sweep, [row["job"] for row in rows])
    rows = [row | {f"cka_{other}": value for other, value in similarity.get(row["job"], {}).items()} for row in rows]
    more = dict.fromkeys(column for row in rows for column in row if column not in COLUMNS)
    table = pd.DataFrame(rows, columns=[*COLUMNS[:-2], *more, *COLUMNS[-2:]])
    table = table.astype(dict.fromkeys(("parameters", "dim", "exit_code"), "Int64"))
    if table.empty:
        return None
    write_csv(table, sweep / TABLE)
    records: list[dict[str, Any]] = [
        {str(key): None if pd.isna(cell) else cell for key, cell in row.items()} for row in table.to_dict("records")
    ]
    reports = {str(row["job"]): (sweep / str(row["job"]) / "report" / "index.html").is_file() for row in records}
    data = as_script({"jobs": [{**row, "report": reports[str(row["job"])]} for row in records]})
    judged = {row["backbone"] for row in records if any(row[f"{name}_top1"] is not None for name in _DISTANCES)}
    words = {"title": f"{plural(len(judged), 'backbone')} compared", "sweep": sweep, "failed": _failed(records)}
    words |= {"random": ", ".join(dict.fromkeys(str(row["backbone"]) for row in records if _is_random(row)))}
    return render.write(sweep / PAGE, render.render(PAGE, _SCRIPTS, words, data))


def _failed(records: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Failed jobs, those together that failed in the same way."""
    jobs: dict[tuple[str, str], list[str]] = {}
    for row in records:
        if row["exit_code"] == FAILED:
            jobs.setdefault((row["backbone"] or "", row["reason"] or ""), []).append(str(row["job"]))
    return [
        {"name": backbone or "a job without a backbone", "jobs": ", ".join(names), "reason": reason}
        for (backbone, reason), names in jobs.items()
    ]


def _rows(sweep: Path) -> Iterator[dict[str, Any]]:
    """A row a backbone; a job that failed before it had one is a row as well."""
    outcomes = sorted(sweep.rglob(OUTCOME), key=lambda path: _natural_sort_key(str(path.parent.relative_to(sweep))))
    for outcome in outcomes:
        job = outcome.parent
        outcome_data = read_json(outcome)
        made = sorted({path.parent for name in (CENTERS, "metrics.json") for path in job.rglob(name)})
        for folder in made or [job]:
            yield {
                "job": folder.relative_to(sweep).as_posix(),
                "overrides": " ".join(read_yaml(job / ".hydra" / "overrides.yaml", [])),
                "exit_code": outcome_data.get("exit_code"),
                "reason": outcome_data.get("reason", ""),
                **_figures(folder, read_yaml(job / ".hydra" / "config.yaml", {})),
            }


def _figures(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    metrics, cost = read_json(folder / "metrics.json"), read_json(folder / "cost.json")
    head = metrics.get("classifier_head") or {}
    accuracies = {
        f"{distance}_{n}": metrics_table.value(metrics, distance, n)
        for distance in _DISTANCES
        for n in ("top1", "top5")
    }
    configured = (config.get("backbone") or {}).get("name")
    return {
        "backbone": cost.get("backbone") or metrics.get("backbone") or configured,
        **{name: cost.get(name) for name in ("parameters", "gmacs", "dim", "images_per_s", "device")},
        "weights": load_centers(folder).metadata.get("weights") if (folder / CENTERS).is_file() else None,
        **accuracies,
        "head_top1": head.get("top1_among_centers", head.get("top1")),
        "ncm_to_head_ratio": head.get("ncm_to_head_ratio"),
        "within_between_ratio": metrics.get("within_between_ratio"),
        **_few_shot(metrics),
    }


def _few_shot(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Columns such as ncm_5_shots: mean top-1, and ncm_5_shots_std."""
    rows = (metrics.get("few_shot") or {}).get("rows", [])
    names = {f"{row['head']}_{row['shots']}_shots": row for row in rows}
    return {name: row["mean"] for name, row in names.items()} | {
        f"{name}_std": row["std"] for name, row in names.items()
    }


def _is_random(row: Mapping[str, Any]) -> bool:
    return str(row["weights"]).startswith("random")


def _natural_sort_key(text: str) -> list[tuple[int, str]]:
    """So that job 10 comes after job 9."""
    return [
        (number, "") if (number := parse_number(part)) is not None else (-1, part)
        for part in re.split(r"([0-9]{1,18})", text)
    ]
