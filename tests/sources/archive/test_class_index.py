from __future__ import annotations

from pathlib import Path

from imagenet_nk.sources.archive.source import Archive
from sources.archive.helpers import first_distinct, here
from sources.contract import images, opened
from sources.tars import A, B, members, train
from sources.web import Web


def test_saved_index_saves_requests_until_the_version_changes(tmp_path: Path, server: Web, classes) -> None:
    url = server.put("/t.tar", train(classes))

    def run() -> tuple[list[str], int]:
        server.asked.clear()
        with opened(Archive(train=url), [A, B], here(tmp_path)) as source:
            opening = len(server.asked)
            return [f.image_id for wnid in (A, B) for f in first_distinct(source, wnid, 4)], opening

    first, opening = run()
    assert opening == 2
    again, opening = run()
    assert again == first
    assert opening == 1
    server.put("/t.tar", train({B: members(B, 5), A: members(A, 5)}))
    assert run()[1] == 2
    for file in tmp_path.glob("index/archive-*.json"):
        file.write_text('{"version": 3')
    assert run()[1] == 2


def test_partial_index_is_continued_by_the_next_run(tmp_path: Path, server: Web) -> None:
    wnids = [f"n{i:08d}" for i in range(30)]
    url = server.put("/t.tar", train({wnid: members(wnid, 2, side=8) for wnid in wnids}))
    with opened(Archive(train=url), wnids[:10], here(tmp_path)):
        assert len(server.asked) == 10
    server.asked.clear()
    with opened(Archive(train=url), wnids, here(tmp_path)) as source:
        assert len(server.asked) == 1 + 20
        assert all(len(images(source, wnid)) == 2 for wnid in wnids)
