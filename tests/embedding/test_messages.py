"""Shards of images."""

from __future__ import annotations

from imagenet_nk.embedding.messages import split_shards


def test_every_worker_gets_several_shards_and_none_is_longer_than_the_limit():
    assert [len(shard) for shard in split_shards(10, 2, 100)] == [2, 2, 2, 2, 2]
    assert max(len(shard) for shard in split_shards(100_000, 2, 256)) == 256
    assert split_shards(0, 3, 256) == []
    assert [row for shard in split_shards(3, 1, 2) for row in shard] == [0, 1, 2]
