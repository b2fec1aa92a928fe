from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imagenet_nk.centers.file import load_centers
from imagenet_nk.report.build import TABLE
from report.making import Run, wnids


def test_similarity_csv_has_every_cosine(good: Run) -> None:
    assert f'href="{TABLE}"' in good.report()
    table = pd.read_csv(good.page.parent / TABLE, index_col="wnid")
    assert tuple(table.index) == tuple(table.columns) == wnids(6)
    centers = load_centers(good.output).centers
    a, b = centers[1], centers[4]
    cosine = float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert table.loc[wnids(6)[1], wnids(6)[4]] == pytest.approx(cosine, abs=1e-4)


def test_similarity_csv_needs_centers(spoiled: Run) -> None:
    spoiled.report()
    (spoiled.output / "centers.safetensors").unlink()
    assert TABLE not in spoiled.report()
    assert not Path(spoiled.page.parent / TABLE).exists()
