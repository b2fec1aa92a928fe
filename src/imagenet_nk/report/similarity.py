"""similarity.csv beside the page: the numbers behind the matrix of the classes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from imagenet_nk.collect import results
from imagenet_nk.report.analysis import Atlas
from imagenet_nk.report.facts import Facts

TABLE = "similarity.csv"
_DIGITS = 4


def write(path: Path, facts: Facts, atlas: Atlas | None) -> None:
    """A row and a column a class, by WNID in label order; no file where there is no matrix."""
    if atlas is None or atlas.similarity is None:
        path.unlink(missing_ok=True)
        return
    wnids = facts.classes["wnid"].iloc[atlas.rows].tolist()
    table = pd.DataFrame(atlas.similarity.round(_DIGITS), columns=wnids)
    table.insert(0, "wnid", wnids)
    results.write_csv(table, path)
