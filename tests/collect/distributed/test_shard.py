from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from imagenet_nk.collect.distributed.shard import Shard, Shards, WorkerSpec, share_of_limits
from imagenet_nk.collect.factory import build_scheduler
from imagenet_nk.config import HttpConfig, InspectConfig
from imagenet_nk.dataset.ledger import Ledger
from imagenet_nk.dataset.object_store import open_store
from imagenet_nk.net.curl_transport import MAX_BUFFERED_BYTES
from imagenet_nk.net.host_table import HostTable


def test_limits_of_all_workers_add_up_to_those_of_the_run() -> None:
    http = HttpConfig(concurrency=30, per_host=3, host_rates={"a.test": 1.5})
    share = share_of_limits(http, 3)
    assert (share.concurrency, share.per_host, share.host_rates) == (10, 1, {"a.test": 0.5})
    assert share_of_limits(http, 100).per_host == 1


def test_each_attempt_of_a_shard_is_built_with_its_number() -> None:
    def build(wnids: Sequence[str], attempt: int) -> Shard:
        return Shard(WorkerSpec(b"", "."), attempt, 0, dict.fromkeys(wnids), {})

    shards = Shards(["a", "b", "c"], 2, build)
    assert [sorted(shard.targets) for shard in (shards[0], shards[1])] == [["a", "c"], ["b"]]
    assert (shards[1].attempt, shards[0].attempt, shards[1].attempt) == (2, 2, 3)


def test_local_workers_share_the_memory_for_bodies(tmp_path: Path) -> None:
    parts = {"hosts": HostTable(HttpConfig()), "inspect": InspectConfig(), "store": open_store(tmp_path)}
    with closing(Ledger(tmp_path)) as ledger:
        _, reader = build_scheduler([], **parts, ledger=ledger, hosts_allowed=frozenset(), threads=1, local_workers=4)  # type: ignore[arg-type]
        with closing(reader):
            assert reader._memory.limit == MAX_BUFFERED_BYTES // 4
