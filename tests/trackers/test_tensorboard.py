from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagenet_nk.trackers.base import RunRecord
from trackers.jobs import run_job


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_back_scalars_configuration_and_projector(run: RunRecord, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install 'imagenet-nk[tensorboard]'")
    import numpy as np
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from imagenet_nk.centers.file import NAME, Centers
    from imagenet_nk.trackers.tensorboard import Tensorboard

    points = np.arange(6, dtype=np.float32).reshape(2, 3)
    columns = np.array([1, 1]), np.array([0, 1]), np.zeros(2, np.float32)
    Centers(points, *columns, ("n01440764", "n01443537"), ("tench", "gold\tfish")).save(run.output / NAME)
    Tensorboard(str(tmp_path / "board")).log(run)
    folder = tmp_path / "board" / "2020-01-01-12-00-00"
    events = EventAccumulator(str(folder)).Reload()
    assert events.Scalars("ncm/cosine/top1")[0].value == pytest.approx(0.75)
    assert set(events.Tags()["tensors"]) == {"configuration/text_summary", "report/text_summary"}
    vectors = next(folder.rglob("tensors.tsv")).read_text().split()
    assert list(map(float, vectors)) == [0, 1, 2, 3, 4, 5]
    assert next(folder.rglob("metadata.tsv")).read_text().splitlines()[1] == "tench\tn01440764\t0"


def test_run_with_tensorboard_writes_events_of_its_metrics(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install 'imagenet-nk[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    output = run_job("tensorboard", tmp_path)
    events = EventAccumulator(str(output / "tensorboard")).Reload()
    top1 = json.loads((output / "metrics.json").read_text())["ncm"]["cosine"]["top1"]["value"]
    assert events.Scalars("ncm/cosine/top1")[0].value == pytest.approx(top1)
    assert events.Scalars("seconds/collect")[0].value > 0
    assert len(next((output / "tensorboard").rglob("tensors.tsv")).read_text().splitlines()) == 3
