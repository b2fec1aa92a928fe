from __future__ import annotations

from collections.abc import Sequence

from imagenet_nk.collect.distributed.shard import Shard, Shards, WorkerSpec, share_of_limits
from imagenet_nk.config import HttpConfig


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
