from __future__ import annotations

from pathlib import Path

import pytest

from imagenet_nk.progress.stage_timer import FILE_NAME, StageTimer, read_stages


def test_failed_stage_has_no_time_and_repeated_stage_moves_to_the_end(tmp_path: Path) -> None:
    timer = StageTimer(tmp_path)
    with timer.stage("collect"):
        assert read_stages(tmp_path)[0].seconds is None
    with timer.stage("lists"):
        pass
    with pytest.raises(KeyError), timer.stage("collect"):
        raise KeyError
    assert [(stage.name, stage.seconds is None) for stage in read_stages(tmp_path)] == [
        ("lists", False),
        ("collect", True),
    ]


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"stage": "x"}]'])
def test_unreadable_file_has_no_stages(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    assert read_stages(tmp_path) == []
