"""Centers on a Ray cluster of this machine: a raylet of its own for each of three nodes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from imagenet_nk.centers.stage import compute_all
from imagenet_nk.config import CentersConfig, Keep
from imagenet_nk.embedding.distributed.select import select_executor
from imagenet_nk.embedding.run import EmbeddingConfig, make_runs
from imagenet_nk.engine.contract import RetryCounter
from small_models import label_map, picture

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray", reason="pip install 'imagenet-nk[ray]'")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
IMAGES = 600


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    three = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        yield three
    finally:
        ray.shutdown()
        three.shutdown()


@pytest.fixture
def many(tmp_path) -> list[tuple[Any, int]]:
    """Images of three classes, one of them cut short."""
    made = []
    for number in range(IMAGES):
        path = tmp_path / f"{number}.jpg"
        picture(number, 64, 64).save(path, quality=80)
        made.append((path, number * 3 // IMAGES))
    made[7][0].write_bytes(made[7][0].read_bytes()[:200])
    return made


@pytest.mark.parametrize("keep", [Keep.auto, Keep.never])
def test_three_nodes_give_what_one_process_gives_though_one_dies(many, tiny, tmp_path, keep, cluster, monkeypatch):
    from imagenet_nk.engine.ray import Ray

    while len(cluster.list_all_nodes()) < 3:
        cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    begun, killed = [], []
    begin = RetryCounter.start
    monkeypatch.setattr(RetryCounter, "start", lambda tries, shard: begun.append(shard) or begin(tries, shard))

    def watch(done: int, total: int) -> None:
        if not killed and done < total:
            killed.append(cluster.list_all_nodes()[-1])
            cluster.remove_node(killed[0], allow_graceful=False)

    engine = Ray(cluster.address)
    try:
        assert engine.workers(0) == 3
        setting = EmbeddingConfig(tiny, CentersConfig(cache_embeddings=keep), tmp_path / "ours")
        here = make_runs(dataclasses.replace(setting, cache=tmp_path / "theirs"), tmp_path / "theirs")
        there = make_runs(dataclasses.replace(setting, executor=select_executor(engine)), tmp_path / "ours")
        (theirs,) = compute_all(here, many, label_map(3), "sha")
        compute_all(there, many[:12], label_map(3), "sha")  # all nodes have the model, and are at it from the start
        begun.clear()
        (ours,) = compute_all(there, many, label_map(3), "sha", watch)
    finally:
        engine.close()
    assert killed
    assert len(begun) <= len(set(begun)) + 1, "no shard but the node's own was begun anew"
    ours, theirs = ours.centers, theirs.centers
    for name in ("centers", "spread"):
        a, b = getattr(ours, name), getattr(theirs, name)
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6 * np.abs(b).max())
    assert ours.counts.tolist() == theirs.counts.tolist() == [199, 200, 200]
    assert dict(ours.metadata) == dict(theirs.metadata)
