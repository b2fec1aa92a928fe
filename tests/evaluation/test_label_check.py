"""The label check: lists in another order, heads in another order, classes that changed places, and heads of no use."""

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
from imagenet_nk.evaluation import label_check
from imagenet_nk.evaluation.stage import label_check_warnings
from small_models import TINY, embed_one_at_a_time, evaluate

WNIDS = [f"n{k:08d}" for k in range(10)]
SORTED = dict(enumerate(WNIDS))
SHIFTED = {k + 1: wnid for k, wnid in enumerate(WNIDS)}
TURNED = {k: WNIDS[9 - k] for k in range(10)}


def checked(written, given, accuracy=0.9, ncm=0.8, orders=None):
    """The check of a list written in one order and read in another, under a head that is right to `accuracy`."""
    rng = np.random.default_rng(0)
    labels = np.repeat(sorted(written), 20)
    right = rng.random(len(labels)) < accuracy
    said = [written[k] if ok else WNIDS[rng.integers(10)] for k, ok in zip(labels.tolist(), right, strict=True)]
    return label_check.check(
        labels, said, given, orders or {"sorted": SORTED, "turned": TURNED, "shifted": SHIFTED}, ncm
    )


@pytest.mark.parametrize(
    ("written", "given", "wrong", "fits"),
    [
        (SORTED, SORTED, False, None),
        (TURNED, SORTED, True, "turned"),
        (SHIFTED, SORTED, True, "shifted"),
        (SORTED, TURNED, True, "sorted"),
    ],
)
def test_the_label_check_finds_the_order(written, given, wrong, fits):
    made = checked(written, given)
    assert (made["labels_wrong"], made["matching_label_order"]) == (wrong, fits)


def test_the_label_check_is_silent_where_it_cannot_tell():
    assert not checked(TURNED, SORTED, ncm=0.12)["labels_wrong"]
    unknown = checked(TURNED, SORTED, orders={"sorted": SORTED})
    assert unknown["labels_wrong"]
    assert unknown["matching_label_order"] is None


def test_a_head_that_knows_little_says_nothing_of_the_labels():
    rng = np.random.default_rng(0)
    labels = np.repeat(range(10), 20)
    for said in (
        ["n00000003"] * 200,  # one class for everything
        [WNIDS[k] for k in rng.integers(0, 10, 200)],
        [WNIDS[k] if rng.random() < 0.25 else WNIDS[rng.integers(3)] for k in labels],  # hardly trained
    ):
        made = label_check.check(labels, said, SORTED, {"turned": TURNED}, 0.8)
        assert not made["labels_wrong"]
        assert made["message"].startswith("the head does not know the classes well enough to tell")


def voted(names, each, accuracy, rng, known=1.0):
    """Labels, and what a head says of their images: right to `accuracy`, else anything; of the classes that it does not
    know, always one and the same name, whichever."""
    means = [k if rng.random() < known else int(rng.integers(len(names))) for k in range(len(names))]
    labels = np.repeat(np.arange(len(names)), each)
    said = [names[means[k]] if rng.random() < accuracy else names[rng.integers(len(names))] for k in labels]
    return labels, said


FIFTY = [f"n{k:08d}" for k in range(50)]


@pytest.mark.parametrize(("each", "accuracy"), [(4, 1.0), (10, 0.8), (10, 0.7), (50, 0.65)])
@pytest.mark.parametrize("rings", [[[4, 7]], [[3, 40], [11, 12]], [[3, 9, 5], [20, 21]]])
def test_labels_that_changed_places_are_named_class_by_class(rings, each, accuracy):
    labels, said = voted(FIFTY, each, accuracy, np.random.default_rng(0))
    given = dict(enumerate(FIFTY))
    for ring in rings:
        given |= {k: FIFTY[other] for k, other in zip(ring, [*ring[1:], ring[0]], strict=True)}
    made = label_check.check(labels, said, given, {"sorted": dict(enumerate(FIFTY))}, accuracy)
    assert not made["labels_wrong"]
    assert sorted(map(sorted, made["swapped_classes"])) == sorted([FIFTY[k] for k in sorted(ring)] for ring in rings)
    assert made["message"].startswith(f"the labels of {sum(map(len, rings))} classes look exchanged")
    assert all(" -> ".join([*ring, ring[0]]) in made["message"] for ring in made["swapped_classes"])
    for ring in made["swapped_classes"]:  # what a class's label says -> what its images are
        seen = {given[k]: FIFTY[k] for k in range(50)}
        assert [seen[wnid] for wnid in ring] == [*ring[1:], ring[0]]


@pytest.mark.parametrize(
    ("each", "accuracy", "known"), [(10, 0.1, 1), (10, 0.4, 1), (1, 0.7, 1), (2, 0.7, 1), (10, 1, 0), (10, 0.9, 0.4)]
)
def test_a_weak_head_names_no_class(each, accuracy, known):
    given = dict(enumerate(FIFTY))
    for seed in range(40):
        labels, said = voted(FIFTY, each, accuracy, np.random.default_rng(seed), known)
        assert label_check.check(labels, said, given, {}, 0.9)["swapped_classes"] == []


def test_classes_that_a_good_head_confuses_are_not_exchanged():
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(50), 10)
    for twins in ({0: 1}, {0: 1, 1: 0}, {0: 1, 1: 2, 2: 0}, {0: 1, 2: 1, 1: 3}):
        for _ in range(20):
            said = [FIFTY[twins[k] if k in twins and rng.random() < 0.5 else k] for k in labels]
            assert label_check.check(labels, said, dict(enumerate(FIFTY)), {}, 0.9)["swapped_classes"] == []


def test_a_head_in_another_order_is_told_from_labels_in_another_order():
    clsloc = label_check.imagenet_label_orders()["clsloc from 0"]
    ordered = label_check.imagenet_label_orders()["sorted from 0"]
    labels = np.repeat(np.arange(0, 1000, 7), 3)
    place = {wnid: index for index, wnid in clsloc.items()}
    said = [ordered[place[ordered[label]]] for label in labels.tolist()]  # what each output seems to mean
    heads = label_check.other_head_orders(1000)
    made = label_check.check(labels, said, ordered, label_check.imagenet_label_orders(), 0.8, heads)
    assert (made["labels_wrong"], made["matching_label_order"], made["matching_head_order"]) == (False, None, "clsloc")
    said = [clsloc[label] for label in labels.tolist()]
    made = label_check.check(labels, said, ordered, label_check.imagenet_label_orders(), 0.8, heads)
    assert (made["labels_wrong"], made["matching_label_order"]) == (True, "clsloc from 0")


def test_the_known_orders_are_those_of_the_1000_classes():
    orders = label_check.imagenet_label_orders()
    assert orders["sorted from 0"][0] == "n01440764"
    assert orders["clsloc from 1"][1] == "n02119789"
    assert orders["clsloc from 0"][0] == "n02119789"
    assert len(orders["sorted from 1"]) == 1000


def coloured(folder, map_, copies):
    """Files and WNIDs of six classes of one colour each."""
    images = []
    for k in (3, 150, 281, 555, 777, 940):
        for copy in range(copies):
            colour = np.random.default_rng(k).integers(0, 250, 3) + copy
            images.append((folder / f"{map_.wnids[k]}_{copy}.png", map_.wnids[k]))
            Image.fromarray(np.full((160, 160, 3), colour, np.uint8)).save(images[-1][0])
    return images


def test_a_list_in_devkit_numbers_under_a_sorted_head_is_found(tmp_path, tiny, caplog):
    """Six classes of one colour each, and a head over the 1000 classes that was fitted to know them by sorted index."""
    sorted_map = load(ClassesConfig(table="imagenet-1k"), LabelsConfig(order="sorted"))
    devkit = load(ClassesConfig(table="imagenet-1k"), LabelsConfig(order="clsloc"))
    images = coloured(tmp_path, sorted_map, 3)
    path = tmp_path / "w.pt"
    torch.save(fitted(images, sorted_map), path)
    setting = EmbeddingConfig(dataclasses.replace(tiny, checkpoint=str(path)), cache=tmp_path)
    for order, wrong, fits in ((sorted_map, False, None), (devkit, True, "clsloc from 1")):
        entries = [(image, order.label(wnid)) for image, wnid in images]
        checked = evaluate(entries, sorted_map, setting, tmp_path)["label_check"]
        assert (checked["labels_wrong"], checked["matching_label_order"]) == (wrong, fits)
        assert len(label_check_warnings([{"backbone": "x", "label_check": checked}])) == wrong
    assert "numbered as clsloc from 1" in caplog.text
    written = tmp_path / "asked.txt"
    written.write_text("".join(f"{image} {devkit.label(wnid)}\n" for image, wnid in images))
    right = [(image, sorted_map.label(wnid)) for image, wnid in images]
    with_all = right + [(images[0][0], label) for label in sorted_map.labels]  # so that each label has a center
    asked = EvaluateConfig(list=str(written))
    checked = evaluate(with_all, sorted_map, setting, tmp_path, settings=asked)["label_check"]
    assert (checked["labels_wrong"], checked["matching_label_order"]) == (True, "clsloc from 1")
    with caplog.at_level(logging.INFO):
        assert not evaluate(right[:3], sorted_map, setting, tmp_path, settings=asked)["images"]
    assert "is their list numbered as labels= says?" in caplog.text
    metrics = evaluate([(image, devkit.label(wnid)) for image, wnid in images], devkit, setting, tmp_path)
    assert not metrics["label_check"]["labels_wrong"]  # the same list, read with the order that it was written in
    assert metrics["classifier_head"]["top1"] == 1.0
    assert metrics["classifier_head"]["ncm_to_head_ratio"] == pytest.approx(
        metrics["ncm"]["euclidean"]["top1"]["value"]
    )


def test_classes_whose_labels_changed_places_are_named(tmp_path, tiny, caplog):
    map_ = load(ClassesConfig(table="imagenet-1k"), LabelsConfig(order="sorted"))
    images = coloured(tmp_path, map_, 4)
    torch.save(fitted(images, map_), tmp_path / "w.pt")
    setting = EmbeddingConfig(dataclasses.replace(tiny, checkpoint=str(tmp_path / "w.pt")), cache=tmp_path)
    places = {k: k for k in map_.labels} | {150: 777, 777: 150}
    entries = [(image, places[map_.label(wnid)]) for image, wnid in images]
    metrics = evaluate(entries, map_, setting, tmp_path)
    pair = [map_.wnids[150], map_.wnids[777]]
    assert metrics["label_check"]["swapped_classes"] == [pair]
    assert not metrics["label_check"]["labels_wrong"]
    assert (
        f"label check: the labels of 2 classes look exchanged among them (label -> what the head sees): {pair[0]} -> "
        in caplog.text
    )
    (note,) = label_check_warnings([metrics])
    assert all(wnid in note for wnid in pair)
    right = [(image, map_.label(wnid)) for image, wnid in images]
    assert label_check_warnings([evaluate(right, map_, setting, tmp_path)]) == []


def fitted(images, order):
    """A state_dict of the tiny model whose head of 1000 outputs was fitted to these images by least squares."""
    x = embed_one_at_a_time([(path, 0) for path, _ in images])
    target = np.eye(1000)[[order.label(wnid) for _, wnid in images]]
    solution, *_ = np.linalg.lstsq(np.concatenate([x, np.ones((len(x), 1))], axis=1), target, rcond=None)
    torch.manual_seed(0)
    state = timm.create_model(TINY, num_classes=0).state_dict()
    return state | {"fc.weight": torch.tensor(solution[:-1].T).float(), "fc.bias": torch.tensor(solution[-1]).float()}
