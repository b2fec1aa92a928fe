"""The classifier head over real files: its accuracy, and the label check that it allows."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from imagenet_nk.classes.loading import load
from imagenet_nk.config import ClassesConfig, EvaluateConfig, LabelsConfig
from imagenet_nk.embedding.run import EmbeddingConfig
from imagenet_nk.evaluation.stage import label_check_warnings
from small_models import TINY, embed_one_at_a_time, evaluate

CLASSES = (3, 60, 150, 281, 333, 555, 640, 777, 851, 940)


def write_coloured_images(folder, label_map, copies):
    """Files and WNIDs of ten classes of one colour each."""
    images = []
    for k in CLASSES:
        for copy in range(copies):
            colour = np.random.default_rng(k).integers(0, 250, 3) + copy
            images.append((folder / f"{label_map.wnids[k]}_{copy}.png", label_map.wnids[k]))
            Image.fromarray(np.full((160, 160, 3), colour, np.uint8)).save(images[-1][0])
    return images


def test_list_in_devkit_numbers_is_recognised_by_a_sorted_head(tmp_path, tiny, caplog):
    """Ten classes of one colour each, and a head over the 1000 classes that was fitted to know them by sorted index."""
    sorted_map = load(ClassesConfig(table="imagenet-1k"), LabelsConfig(order="sorted"))
    devkit = load(ClassesConfig(table="imagenet-1k"), LabelsConfig(order="clsloc"))
    images = write_coloured_images(tmp_path, sorted_map, 3)
    path = tmp_path / "w.pt"
    torch.save(fitted_state_dict(images, sorted_map), path)
    embedding = EmbeddingConfig(dataclasses.replace(tiny, checkpoint=str(path)), cache=tmp_path)
    for order, is_wrong, label_order in ((sorted_map, False, None), (devkit, True, "clsloc from 1")):
        entries = [(image, order.label(wnid)) for image, wnid in images]
        check = evaluate(entries, sorted_map, embedding, tmp_path)["label_check"]
        assert (check["labels_wrong"], check["matching_label_order"]) == (is_wrong, label_order)
        assert len(label_check_warnings([{"backbone": "x", "label_check": check}])) == is_wrong
    assert "numbered as clsloc from 1" in caplog.text
    listed = tmp_path / "eval.txt"
    listed.write_text("".join(f"{image} {devkit.label(wnid)}\n" for image, wnid in images))
    right = [(image, sorted_map.label(wnid)) for image, wnid in images]
    with_all = right + [(images[0][0], label) for label in sorted_map.labels]  # so that each label has a center
    settings = EvaluateConfig(list=str(listed))
    check = evaluate(with_all, sorted_map, embedding, tmp_path, settings=settings)["label_check"]
    assert (check["labels_wrong"], check["matching_label_order"]) == (True, "clsloc from 1")
    with caplog.at_level(logging.INFO):
        assert not evaluate(right[:3], sorted_map, embedding, tmp_path, settings=settings)["images"]
    assert "is their list numbered as labels= says?" in caplog.text
    metrics = evaluate([(image, devkit.label(wnid)) for image, wnid in images], devkit, embedding, tmp_path)
    assert not metrics["label_check"]["labels_wrong"]  # the same list, read with the order that it was listed in
    assert metrics["classifier_head"]["top1"] == 1.0
    assert metrics["classifier_head"]["ncm_to_head_ratio"] == pytest.approx(
        metrics["ncm"]["euclidean"]["top1"]["value"]
    )


def test_classes_with_swapped_labels_are_named(tmp_path, tiny, caplog):
    label_map = load(ClassesConfig(table="imagenet-1k"), LabelsConfig(order="sorted"))
    images = write_coloured_images(tmp_path, label_map, 4)
    torch.save(fitted_state_dict(images, label_map), tmp_path / "w.pt")
    embedding = EmbeddingConfig(dataclasses.replace(tiny, checkpoint=str(tmp_path / "w.pt")), cache=tmp_path)
    labels = {k: k for k in label_map.labels} | {150: 777, 777: 150}
    entries = [(image, labels[label_map.label(wnid)]) for image, wnid in images]
    metrics = evaluate(entries, label_map, embedding, tmp_path)
    pair = [label_map.wnids[150], label_map.wnids[777]]
    assert metrics["label_check"]["swapped_classes"] == [pair]
    assert not metrics["label_check"]["labels_wrong"]
    assert (
        f"label check: the labels of 2 classes look swapped (label -> prediction of the head): {pair[0]} -> "
        in caplog.text
    )
    (warning,) = label_check_warnings([metrics])
    assert all(wnid in warning for wnid in pair)
    right = [(image, label_map.label(wnid)) for image, wnid in images]
    assert label_check_warnings([evaluate(right, label_map, embedding, tmp_path)]) == []


def fitted_state_dict(images, order):
    """A state_dict of the tiny model whose head of 1000 outputs was fitted to these images by least squares."""
    x = embed_one_at_a_time([(path, 0) for path, _ in images])
    target = np.eye(1000)[[order.label(wnid) for _, wnid in images]]
    solution, *_ = np.linalg.lstsq(np.concatenate([x, np.ones((len(x), 1))], axis=1), target, rcond=None)
    torch.manual_seed(0)
    state = timm.create_model(TINY, num_classes=0).state_dict()
    return state | {"fc.weight": torch.tensor(solution[:-1].T).float(), "fc.bias": torch.tensor(solution[-1]).float()}
