from __future__ import annotations

from itertools import count
from pathlib import Path

from imagenet_nk.dataset.folder_layout import LEDGER
from imagenet_nk.dataset.ledger import Attempt, Ledger
from imagenet_nk.report import host_stats


def ledger(folder: Path, *attempts: Attempt, done: bool = True, reached: int | None = None) -> None:
    """Attempts of which those after the first `reached` were fetched ahead and not needed."""
    made = Ledger(folder)
    for attempt in attempts:
        made.record(attempt)
    made.flush()
    until = len(attempts) if reached is None else reached
    verdicts = [attempt.reason or "kept" if i < until else "unreached" for i, attempt in enumerate(attempts)]
    made.write_verdicts(zip(verdicts, count(made.last_id() - len(attempts) + 1)))
    if done:
        made.set_meta("done", "x")
    made.close()


def tried(url: str, wnid: str = "n01440764", reason: str = "", pixels: int = 0, seconds: float = 0.5) -> Attempt:
    return Attempt("urls", 0, 0, url, wnid, 1, url, reason=reason, pixels=pixels, seconds=seconds)


def test_hosts_have_counts_and_their_most_frequent_reason(tmp_path: Path) -> None:
    ledger(
        tmp_path,
        tried("http://a.example/1"),
        tried("http://a.example/2", reason="http_404"),
        tried("http://a.example/3", reason="http_404"),
        tried("http://a.example/4", reason="timeout", seconds=8.5),
        tried("http://[broken/5", reason="bad_url"),
        tried("images/6.jpg"),
    )
    found = host_stats.read(tmp_path)
    assert found.host_count == 3
    first = found.hosts[0]
    assert (first.name, first.tried, first.kept, first.seconds, first.top_reason) == (
        "a.example",
        4,
        1,
        10.0,
        "http_404",
    )
    assert {host.name for host in found.hosts} == {"a.example", "(no address)", "urls"}


def test_unneeded_prefetched_candidates_are_not_counted_as_tried(tmp_path: Path) -> None:
    unreached = [tried(f"http://b.example/{serial}") for serial in range(3)]
    ledger(tmp_path, tried("http://a.example/1"), tried("http://a.example/2", reason="http_404"), *unreached, reached=2)
    first, second = host_stats.read(tmp_path).hosts
    assert (first.tried, first.kept, first.unreached, first.top_reason, first.seconds_per_candidate) == (
        2,
        1,
        0,
        "http_404",
        0.5,
    )
    assert (second.tried, second.kept, second.unreached, second.top_reason, second.seconds_per_candidate) == (
        0,
        0,
        3,
        "",
        None,
    )


def test_cross_class_duplicates_are_found_by_pixels(tmp_path: Path) -> None:
    ledger(
        tmp_path,
        tried("http://a.example/1", "n01440764", pixels=7),
        tried("http://a.example/2", "n01443537", pixels=7),
        tried("http://a.example/3", "n01443537", pixels=8),
        tried("http://a.example/4", "n01484850", pixels=7, reason="duplicate"),
        tried("images/5", "n01484850", pixels=0),
        tried("images/6", "n01440764", pixels=0),
    )
    assert host_stats.read(tmp_path).cross_class_duplicates == (("n01440764", "n01443537"),)


def test_ended_is_true_after_a_complete_collection(tmp_path: Path) -> None:
    assert host_stats.read(tmp_path).ended is None
    ledger(tmp_path, done=False)
    assert host_stats.read(tmp_path).ended is False
    ledger(tmp_path)
    assert host_stats.read(tmp_path).ended is True


def test_broken_ledger_gives_no_statistics(tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_bytes(b"no database" * 100)
    assert host_stats.read(tmp_path) == host_stats.FetchStats()
