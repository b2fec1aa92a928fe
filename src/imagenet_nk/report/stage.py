"""Stage `report`: one folder with a page that shows what a run has made, and what in it is doubtful."""

from __future__ import annotations

import logging
from pathlib import Path

from imagenet_nk.report import (
    alarms,
    asked,
    evaluation,
    html,
    judgement,
    overview,
    payload,
    similarity,
    suspects,
    thumbnails,
)
from imagenet_nk.report.alarms import Evidence
from imagenet_nk.report.analysis import Analysis, analyse, image_paths
from imagenet_nk.report.facts import Facts, gather
from imagenet_nk.report.said import Alarm, plural

log = logging.getLogger(__name__)

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
    evidence = Evidence(facts, asked.read(facts.home), analysis, strips)
    data = payload.payload(facts, analysis, chosen, strips, galleries, page.parent)
    found = alarms.alarms(evidence)
    similarity.write(page.parent / similarity.TABLE, facts, analysis.atlas)
    html.write(
        page, html.render("report.html", _SCRIPTS, _words(evidence, found, chosen, galleries), payload.as_script(data))
    )
    images, warnings = plural(len(facts.images), "image"), plural(sum(one.rank < 2 for one in found), "warning")
    log.info("report of %s, %s: %s", images, warnings, page)
    return page


def _galleries(analysis: Analysis) -> dict[str, list[int]]:
    if analysis.images is None:
        return {"wrong": [], "far": []}
    return {
        "wrong": suspects.likely_wrong(analysis.images, _WRONG).tolist(),
        "far": suspects.farthest(analysis.images, _FAR).tolist(),
    }


def _strips(facts: Facts, chosen: payload.Chosen, folder: Path) -> dict[str, thumbnails.Strip]:
    paths = image_paths(facts)
    wnids = facts.classes["wnid"]
    return thumbnails.write(folder, {wnids[row]: [paths[image] for image in images] for row, images in chosen.items()})


def _words(
    evidence: Evidence, found: list[Alarm], chosen: payload.Chosen, galleries: dict[str, list[int]]
) -> dict[str, object]:
    facts, analysis = evidence.facts, evidence.analysis
    return {
        "title": f"{plural(len(facts.images), 'image')} of {plural(len(facts.classes), 'class', 'classes')}",
        "alarms": found,
        "wnids": facts.classes["wnid"].tolist(),
        "tiles": overview.tiles(facts),
        "asked": overview.asked(facts),
        "came_out": overview.came_out(facts),
        "funnel": overview.funnel(facts),
        "reasons": overview.reasons(facts),
        "hosts": evidence.asked.hosts,
        "host_count": evidence.asked.host_count,
        "backbone": (facts.centers.metadata.get("backbone", "") if facts.centers else ""),
        "has_centers": analysis.atlas is not None,
        "has_matrix": analysis.atlas is not None and analysis.atlas.similarity is not None,
        "has_tsne": analysis.atlas is not None and analysis.atlas.tsne is not None,
        "classes_with_center": len(analysis.atlas.rows) if analysis.atlas else 0,
        "accuracy": evaluation.rows(facts.metrics),
        "protocol": facts.metrics.get("protocol", ""),
        "judged": facts.metrics.get("images", 0),
        "nothing_judged": evaluation.nothing_judged(facts.metrics),
        "best": evaluation.best_distance(facts.metrics),
        "confused": evaluation.confused(facts.metrics),
        **judgement.words(facts, analysis, galleries),
        "hidden": len(facts.images) - sum(len(images) for images in chosen.values()),
    }
