"""Stage `report`: a folder with a page that shows the results of a run and warns of what is doubtful."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from imagenet_nk.dataset.class_table import write_csv
from imagenet_nk.report import host_stats, metrics_table, thumbnails
from imagenet_nk.report.analysis import outliers
from imagenet_nk.report.analysis.analyse import Analysis, ClassMap, analyse, image_paths
from imagenet_nk.report.page import render, summary
from imagenet_nk.report.page.data import SelectedImages, as_script, page_data, select_images
from imagenet_nk.report.run_data import RunData, gather
from imagenet_nk.report.warnings import checks
from imagenet_nk.report.warnings.checks import ReportInputs
from imagenet_nk.report.warnings.warning import ReportWarning
from imagenet_nk.wording import plural

log = logging.getLogger(__name__)

TABLE = "similarity.csv"
_DIGITS = 4


def write_similarity(path: Path, data: RunData, class_map: ClassMap | None) -> None:
    """A row and a column a class, by WNID in label order; no file where there is no matrix."""
    if class_map is None or class_map.similarity is None:
        path.unlink(missing_ok=True)
        return
    wnids = data.classes["wnid"].iloc[class_map.rows].tolist()
    table = pd.DataFrame(class_map.similarity.round(_DIGITS), columns=wnids)
    table.insert(0, "wnid", wnids)
    write_csv(table, path)


PAGE = "report/index.html"
_SCRIPTS = ("data.js", "dom.js", "tables.js", "thumbnails.js", "viewer.js", "contact_sheets.js", "map.js", "matrix.js",
            "page.js")  # fmt: skip
_MAX_THUMBNAILS, _MAX_PER_CLASS = 20_000, 24
_MAX_MISLABELLED, _MAX_OUTLIERS = 60, 40  # images in the galleries


def write(folder: Path, run: Path, home: Path | None = None) -> Path:
    """Write run/report/index.html about a data set folder and a run over it; returns the page.

    home: where ledger and embeddings of the data set are; the same folder if None.
    Raises DatasetError if the folder holds no data set.
    """
    data = gather(folder, run, home)
    analysis = analyse(data)
    page = run / PAGE
    galleries = _galleries(analysis)
    per_class = min(_MAX_PER_CLASS, max(1, _MAX_THUMBNAILS // max(len(data.classes), 1)))
    gallery_images = {image for images in galleries.values() for image in images}
    selected = select_images(data.images["row"], gallery_images, per_class)
    strips = _strips(data, selected, page.parent / "thumbnails")
    inputs = ReportInputs(data, host_stats.read(data.home), analysis, strips)
    columns = page_data(data, analysis, selected, strips, galleries, page.parent)
    warnings = checks.find_warnings(inputs)
    write_similarity(page.parent / TABLE, data, analysis.class_map)
    render.write(
        page,
        render.render(
            "report.html", _SCRIPTS, _template_values(inputs, warnings, selected, galleries), as_script(columns)
        ),
    )
    images, count = plural(len(data.images), "image"), plural(sum(each.rank < 2 for each in warnings), "warning")
    log.info("report of %s, %s: %s", images, count, page)
    return page


def _galleries(analysis: Analysis) -> dict[str, list[int]]:
    if analysis.images is None:
        return {"wrong": [], "far": []}
    return {
        "wrong": outliers.likely_mislabelled(analysis.images, _MAX_MISLABELLED).tolist(),
        "far": outliers.find_outliers(analysis.images, _MAX_OUTLIERS).tolist(),
    }


def _strips(data: RunData, selected: SelectedImages, folder: Path) -> dict[str, thumbnails.ContactStrip]:
    paths = image_paths(data)
    wnids = data.classes["wnid"]
    return thumbnails.write(
        folder, {wnids[row]: [paths[image] for image in images] for row, images in selected.items()}
    )


def _template_values(
    inputs: ReportInputs, warnings: list[ReportWarning], selected: SelectedImages, galleries: dict[str, list[int]]
) -> dict[str, object]:
    data, analysis = inputs.data, inputs.analysis
    return {
        "title": f"{plural(len(data.images), 'image')} of {plural(len(data.classes), 'class', 'classes')}",
        "warnings": warnings,
        "wnids": data.classes["wnid"].tolist(),
        "tiles": summary.tiles(data),
        "settings": summary.settings(data),
        "outputs": summary.outputs(data),
        "funnel": summary.funnel(data),
        "reasons": summary.reasons(data),
        "hosts": inputs.fetch_stats.hosts,
        "host_count": inputs.fetch_stats.host_count,
        "backbone": (data.centers.metadata.get("backbone", "") if data.centers else ""),
        "has_centers": analysis.class_map is not None,
        "has_matrix": analysis.class_map is not None and analysis.class_map.similarity is not None,
        "has_tsne": analysis.class_map is not None and analysis.class_map.tsne is not None,
        "classes_with_center": len(analysis.class_map.rows) if analysis.class_map else 0,
        "accuracy": metrics_table.rows(data.metrics),
        "protocol": data.metrics.get("protocol", ""),
        "evaluated": data.metrics.get("images", 0),
        "why_not_evaluated": metrics_table.why_not_evaluated(data.metrics),
        "heads": metrics_table.heads(data.metrics),
        "few_shot": metrics_table.few_shot(data.metrics),
        "ood": metrics_table.ood(data.metrics),
        "best": metrics_table.best_distance(data.metrics),
        "confused": metrics_table.confused(data.metrics),
        **summary.outlier_texts(data, analysis, galleries),
        "hidden": len(data.images) - sum(len(images) for images in selected.values()),
    }
