"""Plans: runtime and batch size; faster paths are checked against the reference."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from imagenet_nk.backbones import runtimes
from imagenet_nk.config import Dtype
from imagenet_nk.embedding import parity
from imagenet_nk.embedding.plan import make_plan, resolve_plan
from imagenet_nk.embedding.run import EmbeddingConfig
from imagenet_nk.preprocessing import transforms
from small_models import DATA, compute, evaluate, label_map, run_centers


def cosines(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_a_plan_is_resolved_once_and_does_not_change(entries, tiny):
    plan = make_plan(dataclasses.replace(tiny, batch_size=None, img_size=32))
    resolved = resolve_plan(plan, [entries[0][0]])
    assert plan.runtime is None
    assert plan.config.batch_size is None
    assert resolved.config.batch_size >= 1
    assert resolve_plan(resolved, [entries[0][0]]) is resolved


@pytest.mark.parametrize("changes", [{"preprocess": "torch"}, {"dtype": "bfloat16"}])
def test_centers_of_a_faster_path_agree_with_the_reference(changes, entries, tiny, tmp_path):
    reference = compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path / "exact")
    setting = EmbeddingConfig(dataclasses.replace(tiny, **changes))
    computed = run_centers(entries, label_map(5), setting, tmp_path / "fast")
    assert cosines(computed.centers.centers, reference.centers).min() >= parity.MIN_COSINE
    assert computed.embeddings.plan.parity["cosine_min"] >= parity.MIN_COSINE
    metrics = evaluate(entries, label_map(5), setting, tmp_path / "fast")
    assert metrics["parity"] is None, "all embeddings were cached, so nothing was compared"


def test_a_faster_path_that_does_not_agree_is_not_used(entries, tiny, tmp_path, monkeypatch, caplog):
    reference = compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path / "exact")
    data = DATA | {"input_size": (3, 160, 160), "crop_pct": 0.95}
    monkeypatch.setattr(
        transforms.TorchPreprocessor,
        "__call__",
        lambda _, image: transforms.TimmPreprocessor(data)(image)[::-1].copy(),
    )
    setting = EmbeddingConfig(dataclasses.replace(tiny, preprocess="torch"))
    for _ in range(2):  # the second run finds the reference's embeddings in the cache
        centers = compute(entries, label_map(5), setting, tmp_path / "fast")
        np.testing.assert_allclose(centers.centers, reference.centers, rtol=1e-5, atol=1e-7)
        assert not centers.metadata["transform"].startswith("fast")
    assert "using the reference instead" in caplog.text


def test_float16_on_a_cpu_is_warned_of_once(entries, tiny, caplog):
    plan = make_plan(dataclasses.replace(tiny, dtype="float16", img_size=32))
    for _ in range(2):
        plan = resolve_plan(plan, [path for path, _ in entries[:2]])
    assert caplog.text.count("type backbone.dtype=float32") == 1


def test_the_batch_size_for_openvino_is_measured_in_float32(tiny, monkeypatch):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    real, dtypes = runtimes.eager, []

    def recording(backbone, device, dtype=Dtype.float32):
        dtypes.append(dtype)
        return real(backbone, device, dtype)

    monkeypatch.setattr(runtimes, "eager", recording)
    config = dataclasses.replace(tiny, runtime="openvino", dtype="float16", img_size=32, batch_size=None)
    resolve_plan(make_plan(config), [])
    assert set(dtypes) == {Dtype.float32}
