"""Nearest class mean, its intervals and tables, and the label check."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imagenet_nk.centers import accuracy, evaluation, label_check, verdict
from imagenet_nk.centers.evaluation import Judged
from imagenet_nk.config import EvaluateConfig


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(8), [1, 2, 3, 4, 5, 6, 7, 8])
    return rng.normal(size=(36, 4)) + 0.8 * rng.normal(size=(8, 4))[classes] + 3, classes


def reading(x, classes, batch=10):
    tensors = torch.from_numpy(x), torch.from_numpy(classes), torch.arange(len(x))
    return lambda: zip(*(tensor.split(batch) for tensor in tensors), strict=True)


def plain_loop(x, classes, name):
    """Ranks by leave-one-out, image by image, with nothing shared between images but CL2N's origin."""
    origin = x.mean(0)
    unit = lambda v: v / np.linalg.norm(v, axis=-1, keepdims=True)  # noqa: E731
    z = unit(x - origin) if name == "cl2n" else x
    ranks = []
    for i in range(len(z)):
        if (classes == classes[i]).sum() < 2:
            continue
        rest = np.arange(len(z)) != i
        means = {k: z[rest & (classes == k)].mean(0) for k in np.unique(classes[rest])}
        if name == "cosine":
            distances = {k: -unit(z[i]) @ unit(mean) for k, mean in means.items()}
        else:
            distances = {k: np.linalg.norm(z[i] - mean) for k, mean in means.items()}
        ranks.append(sorted(distances, key=distances.__getitem__).index(classes[i]))
    return ranks


@pytest.mark.parametrize("name", verdict.DISTANCES)
def test_leave_one_out_is_a_plain_loop(data, name):
    x, classes = data
    means = verdict.Means.of(reading(x, classes), 8, 4)
    judged = verdict.judge_all(means, reading(x, classes, 7), leave_one_out=True)[name]
    assert judged.ranks.tolist() == plain_loop(x, classes, name)
    assert (judged.nearest == judged.classes).tolist() == (judged.ranks == 0).tolist()


def test_the_judged_image_is_not_in_its_own_mean():
    x = torch.tensor([[0.0], [10.0], [4.9], [5.1]]).double()
    classes = torch.tensor([0, 0, 1, 1])
    mean = torch.tensor([[5.0], [5.0]]).double()
    judged = evaluation.judge(x, classes, mean, evaluation.euclidean, torch.tensor([2, 2]))
    assert judged.ranks.tolist() == [1, 1, 1, 1]  # with itself in the mean the last two would be hits


def test_of_equal_distances_the_lower_class_is_the_nearest():
    x, classes = torch.zeros(2, 3).double(), torch.tensor([0, 2])
    judged = evaluation.judge(x, classes, torch.ones(4, 3).double(), evaluation.euclidean)
    assert judged.ranks.tolist() == [0, 2]


def test_intervals_hold_the_share_and_narrow_with_the_images():
    def interval(n):
        ranks = (np.arange(n) % 4 == 0).astype(np.int64)
        figure = accuracy.figures(Judged(np.zeros(n, np.int64), ranks, ranks), 9, 2000, 0)["top1"]
        low, high = figure["ci95"]
        assert low <= figure["value"] == 0.75 <= high
        return high - low

    assert interval(4000) == pytest.approx(2 * 1.96 * np.sqrt(0.75 * 0.25 / 4000), rel=0.1)
    assert interval(100) > 3 * interval(4000)


def test_top5_says_nothing_about_five_classes():
    judged = Judged(np.zeros(3, np.int64), np.arange(3), np.zeros(3, np.int64))
    assert accuracy.figures(judged, 5, 0, 0)["top5"] is None
    assert accuracy.figures(judged, 6, 0, 0)["top5"] == {"value": 1.0}


def test_classes_and_pairs():
    judged = Judged(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 2, 1, 0]), np.array([0, 2, 0, 0, 1]))
    assert accuracy.by_class(judged, 3) == [0.5, pytest.approx(1 / 3), None]
    assert accuracy.confused(judged, 5) == [(1, 0, 2), (0, 2, 1)]
    assert accuracy.confused(judged, 1) == [(1, 0, 2)]


def test_divisions_judge_other_images_than_those_of_the_centers(data):
    x, classes = data
    rows = verdict._drawn(reading(x, classes), 0.25, 1)
    counted = np.bincount(classes[rows.numpy()], minlength=8)
    assert counted.tolist() == [0, 1, 1, 1, 1, 2, 2, 2]
    made = verdict.divided(reading(x, classes), 8, 4, EvaluateConfig(seeds=4, share=0.25), 0)
    assert len(set(made["euclidean"]["values"])) > 1
    again = verdict.divided(reading(x, classes, 36), 8, 4, EvaluateConfig(seeds=4, share=0.25), 0)
    assert made == again


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
    assert (made["labels_wrong"], made["order_that_fits"]) == (wrong, fits)


def test_the_label_check_is_silent_where_it_cannot_tell():
    assert not checked(TURNED, SORTED, ncm=0.12)["labels_wrong"]
    unknown = checked(TURNED, SORTED, orders={"sorted": SORTED})
    assert unknown["labels_wrong"]
    assert unknown["order_that_fits"] is None


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
        assert made["verdict"].startswith("the head does not know the classes well enough to tell")


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
    assert sorted(map(sorted, made["exchanged"])) == sorted([FIFTY[k] for k in sorted(ring)] for ring in rings)
    assert made["verdict"].startswith(f"the labels of {sum(map(len, rings))} classes look exchanged")
    assert all(" -> ".join([*ring, ring[0]]) in made["verdict"] for ring in made["exchanged"])
    for ring in made["exchanged"]:  # what a class's label says -> what its images are
        seen = {given[k]: FIFTY[k] for k in range(50)}
        assert [seen[wnid] for wnid in ring] == [*ring[1:], ring[0]]


@pytest.mark.parametrize(
    ("each", "accuracy", "known"), [(10, 0.1, 1), (10, 0.4, 1), (1, 0.7, 1), (2, 0.7, 1), (10, 1, 0), (10, 0.9, 0.4)]
)
def test_a_weak_head_names_no_class(each, accuracy, known):
    given = dict(enumerate(FIFTY))
    for seed in range(40):
        labels, said = voted(FIFTY, each, accuracy, np.random.default_rng(seed), known)
        assert label_check.check(labels, said, given, {}, 0.9)["exchanged"] == []


def test_classes_that_a_good_head_confuses_are_not_exchanged():
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(50), 10)
    for twins in ({0: 1}, {0: 1, 1: 0}, {0: 1, 1: 2, 2: 0}, {0: 1, 2: 1, 1: 3}):
        for _ in range(20):
            said = [FIFTY[twins[k] if k in twins and rng.random() < 0.5 else k] for k in labels]
            assert label_check.check(labels, said, dict(enumerate(FIFTY)), {}, 0.9)["exchanged"] == []


def test_a_head_in_another_order_is_told_from_labels_in_another_order():
    clsloc = label_check.known_orders()["clsloc from 0"]
    ordered = label_check.known_orders()["sorted from 0"]
    labels = np.repeat(np.arange(0, 1000, 7), 3)
    place = {wnid: index for index, wnid in clsloc.items()}
    said = [ordered[place[ordered[label]]] for label in labels.tolist()]  # what each output seems to mean
    heads = label_check.heads_orders(1000)
    made = label_check.check(labels, said, ordered, label_check.known_orders(), 0.8, heads)
    assert (made["labels_wrong"], made["order_that_fits"], made["heads_order_that_fits"]) == (False, None, "clsloc")
    said = [clsloc[label] for label in labels.tolist()]
    made = label_check.check(labels, said, ordered, label_check.known_orders(), 0.8, heads)
    assert (made["labels_wrong"], made["order_that_fits"]) == (True, "clsloc from 0")


def test_the_known_orders_are_those_of_the_1000_classes():
    orders = label_check.known_orders()
    assert orders["sorted from 0"][0] == "n01440764"
    assert orders["clsloc from 1"][1] == "n02119789"
    assert orders["clsloc from 0"][0] == "n02119789"
    assert len(orders["sorted from 1"]) == 1000
