"""Evaluation of saved centers from Python."""

from __future__ import annotations

import pytest

import imagenet_nk
from imagenet_nk.embedding.run import EmbeddingConfig
from imagenet_nk.errors import CentersError, ConfigError, ListError
from small_models import compute, label_map


@pytest.fixture
def made(entries, tiny, tmp_path):
    return compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path)


def test_images_that_are_not_evaluated_are_counted_and_unreadable_ones_named(made, entries, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"<html>")
    metrics = imagenet_nk.evaluate(made, [*entries, (broken, 1), (entries[0][0], 77)], cache=tmp_path)
    assert (metrics["images"], metrics["not_evaluated"]) == (len(entries), 2)
    assert [one["path"] for one in metrics["skipped"]] == [str(broken)]
    assert metrics["ncm"]["cosine"]["top1"]["value"] > 0


def test_when_nothing_can_be_evaluated_the_error_is_one_line(made, entries, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"<html>")
    for images, error, says in (
        ([], ListError, "no image"),
        ([(entries[0][0], 77)], ListError, "none of the 1 images has a label of the centers .* first: 77 of"),
        ([(tmp_path / "gone.jpg", 1)], ListError, "none of the 1 files"),
        ([(broken, 1)], CentersError, "could be read .* nothing to evaluate"),
    ):
        with pytest.raises(error, match=says) as raised:
            imagenet_nk.evaluate(made, images)
        assert "\n" not in str(raised.value)


def test_unknown_setting_is_named(made, entries):
    with pytest.raises(ConfigError, match=r"evaluate\(\) takes no devise=; .* device"):
        imagenet_nk.evaluate(made, entries, devise="cpu")
