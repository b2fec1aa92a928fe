from __future__ import annotations

from collections import Counter

import pytest

from collect.hostile import answer
from collect.town import WNIDS, Town, kept, local_copy, run
from imagenet_nk.errors import DatasetError
from imagenet_nk.sources.local.source import Full
from imagenet_nk.sources.urls.source import Urls


def test_folder_of_another_draw_is_refused(town: Town) -> None:
    run(town, 3)
    for other in ({"seed": 1}, {"source": Full(str(town.folder))}):
        with pytest.raises(DatasetError) as caught:
            run(town, 3, **other)  # type: ignore[arg-type]
        line = str(caught.value)
        assert "\n" not in line
        assert "dataset.dir=" in line
        assert "seed=0" in line or "source=urls" in line
    with (town.folder / "urls.txt").open("a") as file:
        file.write(f"{WNIDS[0]}_9999\t{town.server.url('/new.jpg')}\n")
    with pytest.raises(DatasetError, match=r"dataset\.dir="):
        run(town, 4)


@pytest.mark.parametrize("processes", [1, 2])
def test_unreachable_fallback_is_tried_again_by_the_next_run(
    town: Town, processes: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Its outage settles nothing: the same command fills up once it is there, and asks the source for nothing."""
    for image_id in [image_id for image_id in town.fates if image_id.startswith(WNIDS[2])]:
        town.put(image_id, "gone")
    fallback = Full(str(town.folder / "local"))
    first = run(town, 4, fallback=fallback, processes=processes)
    assert first.short == (WNIDS[2],)
    assert "its classes stay incomplete: the same command continues from here" in caplog.text
    local_copy(town, {f"{WNIDS[2]}_{number}": f"local {number}" for number in range(1000, 1012)})
    town.server.clear()
    assert run(town, 4, fallback=fallback, processes=processes).sources == {"urls": 8, "full": 4}
    assert town.server.counts() == Counter()


@pytest.mark.parametrize("processes", [1, 2])
def test_unreachable_source_is_tried_again_if_the_fallback_was_not_enough(town: Town, processes: int) -> None:
    fallback = local_copy(town, {f"{wnid}_{number}": f"local {wnid} {number}" for wnid in WNIDS for number in (1, 2)})
    away = Urls(town.server.url("/list.txt"))
    first = run(town, 4, source=away, fallback=fallback, processes=processes)
    assert first.sources == {"full": 2 * len(WNIDS)}
    assert set(first.short) == set(WNIDS)
    town.server.put("/list.txt", answer((town.folder / "urls.txt").read_bytes()))
    again = run(town, 4, source=Urls(town.server.url("/list.txt")), fallback=fallback, processes=processes)
    assert again.short == ()
    assert kept(town) == town.first_good(4)
