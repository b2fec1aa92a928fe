"""The executor over an engine: conformance over processes and over a cluster; the centers are those of one process."""

from __future__ import annotations

import dataclasses
import json
import logging
import socket
from pathlib import Path

import numpy as np
import pytest

from embedding.distributed.fake_engine import FakeEngine, embed_or_die
from embedding.executor_conformance import ExecutorConformance
from imagenet_nk import load_centers
from imagenet_nk.centers.stage import compute_all, save
from imagenet_nk.config import CentersConfig, EvaluateConfig, Keep
from imagenet_nk.embedding.distributed.engine import EngineExecutor, worker_spec
from imagenet_nk.embedding.executor import Executor, LocalExecutor
from imagenet_nk.embedding.run import EmbeddingConfig, make_runs
from imagenet_nk.engine.local import Local
from imagenet_nk.errors import BackboneError
from imagenet_nk.evaluation.stage import evaluate_all
from small_models import TINY, label_map


class TestOverACluster(ExecutorConformance):
    @pytest.fixture
    def executor(self):
        return EngineExecutor(FakeEngine())


class TestOverProcesses(ExecutorConformance):
    @pytest.fixture
    def executor(self):
        return EngineExecutor(Local(2))

    def test_a_worker_that_dies_loses_no_image(self, executor, resolved, images, monkeypatch, tmp_path):
        monkeypatch.setattr("imagenet_nk.embedding.distributed.tasks.embed", embed_or_die)
        rows = [row for batch in executor.embed([resolved], images) for row in batch.rows.tolist()]
        assert sorted(rows) == list(range(len(images)))
        assert (tmp_path / "killed").exists()


def run_stages(entries, config, executor: Executor, folder: Path, centers=None, names=()) -> list[Path]:
    """Centers and metrics; returns the folders of the backbones."""
    config = dataclasses.replace(config, models=list(names))
    setting = EmbeddingConfig(config, centers or CentersConfig(), folder / "cache", executor=executor)
    computed = compute_all(make_runs(setting, folder), entries, label_map(5), "sha")
    for each in computed:
        save(each)
    evaluate_all(computed, entries, label_map(5), settings=EvaluateConfig(random_splits=2))
    return [each.run.output for each in computed]


def assert_same_results(ours: Path, theirs: Path) -> None:
    a, b = load_centers(ours), load_centers(theirs)
    for name in ("centers", "spread"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-6, atol=1e-6 * np.abs(b.centers).max())
    assert a.counts.tolist() == b.counts.tolist()
    assert dict(a.metadata) == dict(b.metadata)
    assert json.loads((ours / "metrics.json").read_text()) == json.loads((theirs / "metrics.json").read_text())


@pytest.fixture
def entries_with_broken(entries, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(entries[0][0].read_bytes()[:300])
    return [*entries[:3], (broken, 1), *entries[3:]]


@pytest.mark.parametrize("keep", [Keep.auto, Keep.never])
def test_workers_give_the_results_of_one_process_and_try_each_image_once(
    entries_with_broken, tiny, tmp_path, keep, caplog
):
    engine, centers = FakeEngine(), CentersConfig(cache_embeddings=keep)
    with caplog.at_level(logging.WARNING):
        (ours,) = run_stages(entries_with_broken, tiny, EngineExecutor(engine), tmp_path / "ours", centers)
    assert caplog.text.count(f"skipped {tmp_path / 'broken.jpg'}") == 1
    assert sum(len(shard.paths) for shard in engine.shards) == len(entries_with_broken)
    (theirs,) = run_stages(entries_with_broken, tiny, LocalExecutor(), tmp_path / "theirs", centers)
    assert_same_results(ours, theirs)
    assert load_centers(ours).metadata["skipped"] == "1"


def test_processes_share_the_work_of_two_backbones(entries_with_broken, tiny, tmp_path):
    ours = run_stages(entries_with_broken, tiny, EngineExecutor(Local(2)), tmp_path / "ours", names=[TINY, "test_vit"])
    theirs = run_stages(entries_with_broken, tiny, LocalExecutor(), tmp_path / "theirs", names=[TINY, "test_vit"])
    for a, b in zip(ours, theirs, strict=True):
        assert_same_results(a, b)


def test_cached_images_are_not_sent_to_workers(entries, tiny, tmp_path):
    first, second = FakeEngine(), FakeEngine()
    run_stages(entries[:6], tiny, EngineExecutor(first), tmp_path)
    run_stages(entries, tiny, EngineExecutor(second), tmp_path)
    assert sum(len(shard.paths) for shard in first.shards) == 6
    assert sum(len(shard.paths) for shard in second.shards) == len(entries) - 6


@pytest.mark.parametrize(
    ("gpus", "device", "reserved"), [(0, "auto", 0), (0, "cpu", 0), (4, "auto", 1), (4, "cpu", 0), (0, "cuda", 1)]
)
def test_a_worker_of_a_cluster_reserves_a_gpu_if_the_cluster_has_some_or_the_device_is_cuda(
    gpus, device, reserved, entries, tiny
):
    engine = FakeEngine(gpus)
    executor, images = EngineExecutor(engine), [entries[0][0]]
    plan = executor.plan(dataclasses.replace(tiny, device=device), 0)
    assert plan.is_on_cpu, "the driver needs none"
    plan = executor.resolve(plan, images)
    assert (plan.runtime is None) == bool(reserved), "each worker chooses the runtime of its GPU"
    assert worker_spec(plan).config.device == (device if reserved else "cpu")
    if device == "cuda":
        with pytest.raises(BackboneError, match=f"on {socket.gethostname()}: backbone.device=cuda is not available"):
            list(executor.embed([plan], images))
    else:
        list(executor.embed([plan], images))
    assert engine.reserved_gpus == [reserved]
