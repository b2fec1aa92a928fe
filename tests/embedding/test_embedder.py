"""What a pass does not do twice: it resumes, and decodes once for several backbones."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np
import pytest
import torch

from imagenet_nk.backbones import model, runtimes
from imagenet_nk.centers import stage
from imagenet_nk.centers.stage import EmbeddingConfig, build, compute_all
from imagenet_nk.config import BackboneConfig, CentersConfig
from imagenet_nk.embedding import loader
from imagenet_nk.errors import CentersError, ConfigError
from imagenet_nk.evaluation.stage import evaluate_all
from imagenet_nk.preprocessing import transforms
from small_models import label_map

CPU = torch.device("cpu")


@pytest.fixture
def decoded(monkeypatch):
    """How many images were decoded."""
    counted = collections.Counter()
    real = transforms.TimmPreprocessor.__call__

    def counting(self, data):
        counted["decoded"] += 1
        return real(self, data)

    monkeypatch.setattr(transforms.TimmPreprocessor, "__call__", counting)
    return counted


def test_an_interrupted_pass_goes_on_where_it_stopped(entries, tiny, tmp_path):
    setting = EmbeddingConfig(dataclasses.replace(tiny, batch_size=2, threads=0), cache=tmp_path / "cache")

    def stop(done, _):
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.compute(entries, label_map(5), setting, tmp_path / "a", "sha", progress=stop)
    assert not (tmp_path / "a" / "centers.safetensors").exists()
    embedder = setting.embedder(tmp_path)
    made = stage.compute(entries, label_map(5), setting, tmp_path / "a", "sha", embedder=embedder)
    assert embedder.embedded == len(entries) - 4  # the slice that was interrupted had not been kept
    whole = stage.compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path / "b", "sha")
    np.testing.assert_allclose(made.centers, whole.centers, rtol=1e-4, atol=1e-6)


def test_several_backbones_share_one_decoding(entries, tiny, tmp_path, decoded):
    names = ["test_resnet", "test_efficientnet", "test_vit"]
    several = build(EmbeddingConfig(dataclasses.replace(tiny, models=names), cache=tmp_path / "cache"), tmp_path)
    together = compute_all(several, entries, label_map(5), "sha")
    sizes = {task.embedder.crops.spatial for task in several}
    assert decoded["decoded"] == len(entries) * len(sizes) < 3 * len(entries)
    for name, made in zip(names, together, strict=True):
        alone = EmbeddingConfig(dataclasses.replace(tiny, name=name))
        wanted = stage.compute(entries, label_map(5), alone, tmp_path / "alone" / name, "sha")
        np.testing.assert_allclose(made.centers, wanted.centers, rtol=1e-5, atol=1e-7)
        assert made.metadata["backbone"] == name
        assert (tmp_path / name / "centers.safetensors").is_file()
    judged = evaluate_all(several, entries, label_map(5))
    assert [metrics["backbone"] for metrics in judged] == names
    assert all((tmp_path / name / "metrics.json").is_file() for name in names)


def test_an_image_that_several_backbones_cannot_read_is_named_for_each(entries, tiny, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nothing more")
    several = build(EmbeddingConfig(dataclasses.replace(tiny, models=["test_resnet", "test_efficientnet"])), tmp_path)
    for made in compute_all(several, [*entries, (broken, 1)], label_map(5), "sha"):
        assert made.counts.tolist() == [2, 3, 4, 3, 2]
        assert made.metadata["skipped"] == "1"


def test_several_backbones_need_their_embeddings_on_disk(entries, tiny, tmp_path):
    both = dataclasses.replace(tiny, models=["test_resnet", "test_efficientnet"])
    several = build(EmbeddingConfig(both, CentersConfig(cache_embeddings="never")), tmp_path)
    with pytest.raises(ConfigError, match="embeddings=always"):
        compute_all(several, entries, label_map(5), "sha")


def test_a_checkpoint_goes_with_one_backbone_only():
    with pytest.raises(ConfigError, match="not backbone"):
        BackboneConfig(name="a", models=["a", "b"], checkpoint="w.pt")


@pytest.mark.parametrize(("count", "devices"), [(0, 0), (1, 0), (3, 0), (1, 1), (3, 1), (3, 3)])
def test_slices_come_in_the_order_of_the_list_whoever_makes_them(count, devices, tmp_path):
    paths = [tmp_path / str(index) for index in range(23)]

    def load(path):
        if path.name == "7":
            raise OSError("bad sector")
        return np.full((1, 1, 3), int(path.name), np.uint8)

    got = list(
        loader.run(
            paths,
            range(1, 23),
            load,
            lambda x: x[:, 0, 0, :1].astype(np.float32),
            batch=4,
            lanes=count,
            devices=devices,
        )
    )
    rows = np.concatenate([part.rows for part in got])
    assert rows.tolist() == [row for row in range(1, 23) if row != 7]
    assert np.concatenate([part.embeddings for part in got])[:, 0].tolist() == rows.tolist()
    assert [(fault.row, fault.reason) for part in got for fault in part.faults] == [(7, "OSError: bad sector")]


def test_an_error_in_a_lane_ends_the_pass(tmp_path):
    def forward(_):
        raise CentersError("broken")

    paths = [tmp_path / str(index) for index in range(50)]
    with pytest.raises(CentersError, match="broken"):
        list(
            loader.run(paths, range(50), lambda _: np.zeros((1, 1, 3), np.uint8), forward, batch=2, lanes=2, devices=0)
        )


def test_replicas_on_several_devices_give_the_same(tiny):
    built = model.build(tiny)
    x = np.random.default_rng(0).integers(0, 256, (3, *built.input_size, 3), dtype=np.uint8)
    both = runtimes.replicate(built, [CPU, CPU], tiny.dtype, torch.contiguous_format)
    alone = runtimes.eager(built, CPU)
    for _ in range(5):
        np.testing.assert_allclose(both(x), alone(x), rtol=1e-5, atol=1e-6)


@pytest.mark.real
def test_all_statistics_on_real_photographs_over_batches_and_workers(shared, tiny, tmp_path):
    folders = sorted((shared / "data" / "tiny-imagenet").iterdir())[:8]
    entries = [(path, label) for label, folder in enumerate(folders) for path in sorted(folder.iterdir())[:6]]
    settings = CentersConfig(normalized=True, prototypes=2, covariance=True)
    made = []
    for batch, workers in ((1, 0), (7, 1), (64, 3)):
        config = dataclasses.replace(tiny, img_size=64, batch_size=batch, threads=workers)
        made.append(
            stage.compute(entries, label_map(8), EmbeddingConfig(config, settings), tmp_path / str(batch), "sha")
        )
    for other in made[1:]:
        for name in ("centers", "spread"):
            np.testing.assert_allclose(getattr(other, name), getattr(made[0], name), rtol=1e-4, atol=1e-6)
        for name, values in made[0].extras.items():
            np.testing.assert_allclose(other.extras[name], values, rtol=1e-3, atol=1e-5, err_msg=name)
        assert other.metadata["medoids"] == made[0].metadata["medoids"]
