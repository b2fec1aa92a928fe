"""What every executor does, whoever runs the models: a test class inherits this and gives the executor."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from imagenet_nk.config import CentersConfig
from imagenet_nk.embedding.embed import embed_images
from imagenet_nk.embedding.embeddings import NOT_FINITE
from imagenet_nk.embedding.executor import Executor, LocalExecutor
from imagenet_nk.embedding.plan import EmbeddingPlan
from imagenet_nk.embedding.run import EmbeddingConfig, make_runs
from imagenet_nk.errors import BackboneError, CentersError
from small_models import TINY

SAME_CROPS = ("test_efficientnet", "test_vit")  # backbones with the same preprocessing


def embed_one_by_one(plan: EmbeddingPlan, images) -> dict[int, np.ndarray]:
    """Row to embedding: each image in a forward pass of its own."""
    forward = LocalExecutor().resolve(plan, images).runtime.forward
    return {
        row: forward(plan.preprocessor.batch([plan.preprocessor(image.read_bytes())]))[0]
        for row, image in enumerate(images)
    }


class ExecutorConformance:
    @pytest.fixture
    def executor(self) -> Executor:
        raise NotImplementedError

    @pytest.fixture
    def images(self, entries):
        return [path for path, _ in entries]

    @pytest.fixture
    def resolved(self, executor, tiny, images):
        return executor.resolve(executor.plan(tiny, 0), images)

    def test_every_image_gets_the_embedding_of_its_own_row(self, executor, resolved, images):
        batches = list(executor.embed([resolved], images))
        rows = np.concatenate([batch.rows for batch in batches])
        assert sorted(rows.tolist()) == list(range(len(images)))
        expected = embed_one_by_one(resolved, images)
        for batch in batches:
            for row, embedding in zip(batch.rows.tolist(), batch.embeddings, strict=True):
                np.testing.assert_allclose(embedding, expected[row], rtol=1e-4, atol=1e-6)

    def test_several_backbones_are_side_by_side(self, executor, tiny, images):
        plans = [executor.plan(dataclasses.replace(tiny, name=name), 0) for name in SAME_CROPS]
        plans = [executor.resolve(plan, images) for plan in plans]
        alone = [embed_one_by_one(plan, images) for plan in plans]
        for batch in executor.embed(plans, images):
            for row, embedding in zip(batch.rows.tolist(), batch.embeddings, strict=True):
                expected = np.concatenate([embeddings[row] for embeddings in alone])
                np.testing.assert_allclose(embedding, expected, rtol=1e-4, atol=1e-6)

    def test_unreadable_images_are_skipped_with_row_and_reason(self, executor, resolved, images, tmp_path):
        broken, missing = tmp_path / "broken.jpg", tmp_path / "missing.jpg"
        broken.write_bytes(images[0].read_bytes()[:300])
        batches = list(executor.embed([resolved], [images[0], broken, images[1], missing]))
        skipped = {image.row: image for batch in batches for image in batch.skipped}
        assert {row: image.path for row, image in skipped.items()} == {1: broken, 3: missing}
        assert skipped[3].reason.startswith("FileNotFoundError")
        assert sorted(row for batch in batches for row in batch.rows.tolist()) == [0, 2]

    def test_when_all_images_are_unreadable_all_are_skipped(self, executor, resolved, tmp_path):
        broken = [tmp_path / f"{n}.jpg" for n in range(3)]
        for path in broken:
            path.write_bytes(b"<html>")
        assert sum(len(batch.skipped) for batch in executor.embed([resolved], broken)) == 3

    def test_no_image_is_no_batch(self, executor, resolved):
        assert list(executor.embed([resolved], [])) == []

    @pytest.mark.parametrize("choice", ["raise", "skip"])
    def test_embeddings_that_are_not_finite_are_skipped_or_end_the_run(
        self, choice, executor, tiny, images, tmp_path, infinite_checkpoint
    ):
        config = dataclasses.replace(tiny, checkpoint=str(infinite_checkpoint))
        setting = EmbeddingConfig(config, CentersConfig(on_nonfinite=choice), executor=executor)
        runs = make_runs(setting, tmp_path)
        if choice == "raise":
            with pytest.raises(CentersError, match=r"is not finite; type centers.on_nonfinite=skip"):
                embed_images(runs, images)
        else:
            (embeddings,) = embed_images(runs, images)
            assert set(embeddings.skipped.values()) == {NOT_FINITE}
            assert embeddings.skipped.keys() == set(images)

    def test_a_model_that_does_not_exist_is_one_line(self, executor, tiny):
        with pytest.raises(BackboneError, match=f"did you mean {TINY}"):
            executor.plan(dataclasses.replace(tiny, name="tset_resnet"), 0)

    def test_the_log_says_what_ran_the_model(self, executor, resolved):
        assert executor.describe(resolved)
