"""Stage `report`: one folder with a page that shows what a run has made, and what in it is doubtful."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from imagenet_nk.dataset.class_table import write_csv
from imagenet_nk.report import host_stats, metrics_table, thumbnails
from imagenet_nk.report.analysis import outliers
from imagenet_nk.report.analysis.analyse import Analysis, ClassMap, analyse, image_paths
from imagenet_nk.report.page import data as payload
from imagenet_nk.report.page import render, summary
from imagenet_nk.report.run_data import RunData, gather
from imagenet_nk.report.warnings import checks
from imagenet_nk.report.warnings.checks import ReportInputs
from imagenet_nk.report.warnings.warning import ReportWarning
from imagenet_nk.wording import plural

log = logging.getLogger(__name__)

TABLE = "similarity.csv"
_DIGITS = 4


def write_similarity(path: Path, facts: RunData, atlas: ClassMap | None) -> None:
    """A row and a column a class, by WNID in label order; no file where there is no matrix."""
    if atlas is None or atlas.similarity is None:
        path.unlink(missing_ok=True)
        return
    wnids = facts.classes["wnid"].iloc[atlas.rows].tolist()
    table = pd.DataFrame(atlas.similarity.round(_DIGITS), columns=wnids)
    table.insert(0, "wnid", wnids)
    write_csv(table, path)


PAGE = "report/index.html"
_SCRIPTS = ("data.js", "elements.js", "tables.js", "pictures.js", "viewer.js", "sheets.js", "map.js", "matrix.js",
            "page.js")  # fmt: skip
_PICTURES, _A_CLASS = 20_000, 24  # most thumbnails in all, and of one class
_WRONG, _FAR = 60, 40  # pictures in the galleries


def write(folder: Path, run: Path, home: Path | None = None) -> Path:
    """Write run/report/index.html about a data set folder and a run over it; returns the page.

    home: where ledger and embeddings of the data set are; the same folder if None.
    Raises DatasetError if the folder holds no data set.
    """
    facts = gather(folder, run, home)
    analysis = analyse(facts)
    page = run / PAGE
    galleries = _galleries(analysis)
    per_class = min(_A_CLASS, max(1, _PICTURES // max(len(facts.classes), 1)))
    shown = {image for images in galleries.values() for image in images}
    chosen = payload.chosen_of(facts.images["row"], shown, per_class)
    strips = _strips(facts, chosen, page.parent / "thumbnails")
    evidence = ReportInputs(facts, host_stats.read(facts.home), analysis, strips)
    data = payload.payload(facts, analysis, chosen, strips, galleries, page.parent)
    found = checks.alarms(evidence)
    write_similarity(page.parent / TABLE, facts, analysis.atlas)
    render.write(
        page,
        render.render("report.html", _SCRIPTS, _words(evidence, found, chosen, galleries), payload.as_script(data)),
    )
    images, warnings = plural(len(facts.images), "image"), plural(sum(one.rank < 2 for one in found), "warning")
    log.info("report of %s, %s: %s", images, warnings, page)
    return page


def _galleries(analysis: Analysis) -> dict[str, list[int]]:
    if analysis.images is None:
        return {"wrong": [], "far": []}
    return {
        "wrong": outliers.likely_wrong(analysis.images, _WRONG).tolist(),
        "far": outliers.farthest(analysis.images, _FAR).tolist(),
    }


def _strips(facts: RunData, chosen: payload.Chosen, folder: Path) -> dict[str, thumbnails.ContactStrip]:
    paths = image_paths(facts)
    wnids = facts.classes["wnid"]
    return thumbnails.write(folder, {wnids[row]: [paths[image] for image in images] for row, images in chosen.items()})


def _words(
    evidence: ReportInputs, found: list[ReportWarning], chosen: payload.Chosen, galleries: dict[str, list[int]]
) -> dict[str, object]:
    facts, analysis = evidence.facts, evidence.analysis
    return {
        "title": f"{plural(len(facts.images), 'image')} of {plural(len(facts.classes), 'class', 'classes')}",
        "alarms": found,
        "wnids": facts.classes["wnid"].tolist(),
        "tiles": summary.tiles(facts),
        "asked": summary.asked(facts),
        "came_out": summary.came_out(facts),
        "funnel": summary.funnel(facts),
        "reasons": summary.reasons(facts),
        "hosts": evidence.asked.hosts,
        "host_count": evidence.asked.host_count,
        "backbone": (facts.centers.metadata.get("backbone", "") if facts.centers else ""),
        "has_centers": analysis.atlas is not None,
        "has_matrix": analysis.atlas is not None and analysis.atlas.similarity is not None,
        "has_tsne": analysis.atlas is not None and analysis.atlas.tsne is not None,
        "classes_with_center": len(analysis.atlas.rows) if analysis.atlas else 0,
        "accuracy": metrics_table.rows(facts.metrics),
        "protocol": facts.metrics.get("protocol", ""),
        "judged": facts.metrics.get("images", 0),
        "nothing_judged": metrics_table.nothing_judged(facts.metrics),
        "best": metrics_table.best_distance(facts.metrics),
        "confused": metrics_table.confused(facts.metrics),
        **summary.words(facts, analysis, galleries),
        "hidden": len(facts.images) - sum(len(images) for images in chosen.values()),
    }
