"""Centers by workers: what they come to is what one process gives, whoever does the work."""

from __future__ import annotations

import dataclasses
import json
import logging
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagenet_nk import load_centers
from imagenet_nk.centers.stage import build, compute_all
from imagenet_nk.config import CentersConfig, EvaluateConfig, Keep, NonFinite
from imagenet_nk.embedding.dataset import EmbeddingConfig
from imagenet_nk.embedding.distributed import select
from imagenet_nk.embedding.distributed.engine import EngineExecutor
from imagenet_nk.embedding.distributed.results import named
from imagenet_nk.embedding.distributed.tasks import embed
from imagenet_nk.embedding.executor import in_order
from imagenet_nk.embedding.messages import Shard, cut
from imagenet_nk.engine.contract import Engine, Task, noop
from imagenet_nk.engine.local import Local
from imagenet_nk.errors import BackboneError, CentersError
from imagenet_nk.evaluation.stage import evaluate_all
from imagenet_nk.preprocessing.types import EmbeddingBatch
from small_models import TINY, label_map

OTHER = "test_vit"
SRC = Path(__file__).resolve().parents[3] / "src"
WITHOUT_TORCH = """
import pickle, sys
sys.modules["torch"] = None
task, shard = pickle.load(sys.stdin.buffer)
try:
    task(shard, None)
except Exception as error:
    print(error)
"""


def read_only(answer: Any) -> Any:
    """As out of Ray's memory."""
    groups = [vars(answer), *(value for value in vars(answer).values() if isinstance(value, dict))]
    for value in (value for group in groups for value in group.values()):
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return answer


class Here:
    """An engine that runs tasks in this process, the last shard first; as a cluster elsewhere, with or without GPUs."""

    name, is_local = "here", False

    def __init__(self, gpus: int = 0) -> None:
        self._gpus, self.shards, self.asked = gpus, list[Any](), list[float]()

    def gpus(self) -> int:
        return self._gpus

    def workers(self, images: int) -> int:
        return 2

    def map(
        self, task: Task, shards: Sequence[Any], *, workers: int, on_report: Any = None, gpus: float = 0,
        tick: Callable[[], None] = noop,
    ) -> Iterator[tuple[int, Any]]:  # fmt: skip
        self.shards += shards
        self.asked.append(gpus)
        for number in reversed(range(len(shards))):
            yield number, read_only(task(shards[number], None))  # type: ignore[arg-type]

    def close(self) -> None: ...


def run(entries, config, engine: Engine | None, folder: Path, centers=None, names=()) -> list[Path]:
    """Centers and their verdict; returns the folders of the backbones."""
    config = dataclasses.replace(config, models=list(names))
    workers = select.select_executor(engine) if engine else None
    setting = EmbeddingConfig(config, centers or CentersConfig(), folder / "cache", crew=workers)
    built = build(setting, folder)
    compute_all(built, entries, label_map(5), "sha")
    evaluate_all(built, entries, label_map(5), settings=EvaluateConfig(random_splits=2))
    return [task.output for task in built]


def assert_equal(ours: Path, theirs: Path) -> None:
    a, b = load_centers(ours), load_centers(theirs)
    for name in ("centers", "spread"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-6, atol=1e-6 * np.abs(b.centers).max())
    assert a.counts.tolist() == b.counts.tolist()
    assert dict(a.metadata) == dict(b.metadata)
    assert json.loads((ours / "metrics.json").read_text()) == json.loads((theirs / "metrics.json").read_text())


@pytest.fixture
def with_a_broken_one(entries, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(entries[0][0].read_bytes()[:300])
    return [*entries[:3], (broken, 1), *entries[3:]]


@pytest.mark.parametrize("keep", [Keep.auto, Keep.never])
def test_workers_give_what_one_process_gives(with_a_broken_one, tiny, tmp_path, keep, caplog):
    engine, centers = Here(), CentersConfig(cache_embeddings=keep)
    with caplog.at_level(logging.WARNING):
        (ours,) = run(with_a_broken_one, tiny, engine, tmp_path / "ours", centers)
    assert caplog.text.count(f"skipped {tmp_path / 'broken.jpg'}") == 1
    if keep == Keep.auto:
        assert sum(len(shard.paths) for shard in engine.shards) == len(with_a_broken_one), "each was tried once"
    (theirs,) = run(with_a_broken_one, tiny, None, tmp_path / "theirs", centers)
    assert_equal(ours, theirs)
    assert load_centers(ours).metadata["skipped"] == "1"


def test_processes_share_the_work_of_two_backbones(with_a_broken_one, tiny, tmp_path):
    ours = run(with_a_broken_one, tiny, Local(2), tmp_path / "ours", names=[TINY, OTHER])
    theirs = run(with_a_broken_one, tiny, None, tmp_path / "theirs", names=[TINY, OTHER])
    for a, b in zip(ours, theirs, strict=True):
        assert_equal(a, b)


def test_what_the_driver_has_is_not_sent_out(entries, tiny, tmp_path):
    first, second = Here(), Here()
    run(entries[:6], tiny, first, tmp_path)
    run(entries, tiny, second, tmp_path)
    assert sum(len(shard.paths) for shard in first.shards) == 6
    assert sum(len(shard.paths) for shard in second.shards) == len(entries) - 6


def test_one_machine_has_processes_only_where_they_are_asked_for():
    assert select.select_executor(Local()) is None
    assert select.select_executor(Local(1)) is None
    assert isinstance(select.select_executor(Local(2)), EngineExecutor)


@pytest.mark.parametrize(
    ("gpus", "wanted", "each"), [(0, "auto", 0), (0, "cpu", 0), (4, "auto", 1), (4, "cpu", 0), (0, "cuda", 1)]
)
def test_a_worker_elsewhere_gets_a_gpu_where_there_are_any_or_one_is_asked_for(
    gpus, wanted, each, entries, tiny, tmp_path
):
    engine = Here(gpus)
    workers = EngineExecutor(engine)
    assert workers.device(wanted) == "cpu", "the driver needs none"
    assert workers.decides(wanted) == bool(each)
    told = (
        EmbeddingConfig(dataclasses.replace(tiny, device=wanted), crew=workers)
        .embedder(tmp_path)
        .order([entries[0][0]])
    )
    assert told.backbone.device == ("cpu" if not each else wanted)
    if wanted == "cuda":
        with pytest.raises(BackboneError, match=f"on {socket.gethostname()}: backbone.device=cuda is not available"):
            list(workers.embed([told], [entries[0][0]], [0]))
    else:
        list(workers.embed([told], [entries[0][0]], [0]))
    assert engine.asked == [each]


class TestWorkersThatCannot:
    @pytest.fixture
    def workers(self):
        return EngineExecutor(Here())

    @pytest.fixture
    def told(self, workers, tiny, entries, tmp_path):
        return EmbeddingConfig(tiny, crew=workers).embedder(tmp_path).order([entries[0][0]])

    def test_other_weights(self, workers, told, entries):
        told = dataclasses.replace(told, key={**told.key, "weights_sha256": "0" * 64})
        with pytest.raises(BackboneError, match=rf"on {socket.gethostname()}: the weights of {TINY} .* not those of"):
            list(workers.embed([told], [entries[0][0]], [0]))

    def test_another_transform(self, workers, told, entries):
        told = dataclasses.replace(told, key={**told.key, "pixels": "of an older timm"})
        with pytest.raises(BackboneError, match="gives other embeddings here than in the driver: type "):
            list(workers.embed([told], [entries[0][0]], [0]))

    def test_no_torch(self, told, entries):
        """In a process of its own: what arrives there has to be read without torch as well."""
        shard = Shard((told,), (entries[0][0],), 1)
        ended = subprocess.run(
            [sys.executable, "-c", WITHOUT_TORCH],
            input=pickle.dumps((embed, shard)), capture_output=True, env={"PYTHONPATH": str(SRC)}, check=False,
        )  # fmt: skip
        assert ended.stdout.decode() == f"{socket.gethostname()} lacks torch: install imagenet-nk there as it is here\n"

    def test_no_shared_file_system(self, entries):
        faults = [(1, "FileNotFoundError: [Errno 2] No such file")]
        with pytest.raises(CentersError, match=r"node7 has no file .*: dataset.dir must lie on a file system that all"):
            named(faults, "node7", [3, 4], [path for path, _ in entries])
        gone = [Path("gone.jpg")]
        assert [fault.row for fault in named([(0, faults[0][1])], "node7", [0], gone)] == [0], "nowhere: a fault"

    @pytest.mark.parametrize("keep", [Keep.auto, Keep.never])
    def test_an_embedding_that_is_not_finite(self, keep, entries, tiny, tmp_path, monkeypatch):
        from imagenet_nk.embedding.distributed import worker

        def poisoned(*_):
            return lambda crops: np.full((len(crops), 512), np.nan, np.float32)

        monkeypatch.setattr(worker, "side_by_side", poisoned)
        config = CentersConfig(cache_embeddings=keep, on_nonfinite=NonFinite["raise"])
        with pytest.raises(CentersError, match=r"is not finite; type centers.on_nonfinite=skip"):
            run(entries, tiny, Here(), tmp_path, config)


def test_slices_are_for_all_workers_and_none_is_long():
    assert [len(part) for part in cut(range(10), 2, 100)] == [2, 2, 2, 2, 2]
    assert max(len(part) for part in cut(range(100_000), 2, 256)) == 256
    assert cut(range(0), 3, 256) == []
    assert [row for part in cut([5, 7, 9], 1, 2) for row in part] == [5, 7, 9]


def test_slices_come_in_the_order_of_the_rows():
    parts = [EmbeddingBatch(np.array(rows), np.zeros((len(rows), 1), np.float32), ()) for rows in ([9], [3, 5], [7])]
    assert [part.rows.tolist() for part in in_order(parts, [3, 5, 7, 9])] == [[3, 5], [7], [9]]
