"""The label check: labels and heads in every known order, swapped classes, and heads of no use."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imagenet_nk.classes.loading import clsloc_wnids
from imagenet_nk.classes.orders import label_orders
from imagenet_nk.classes.table import read_set
from imagenet_nk.evaluation.label_check.check import LabelCheck
from imagenet_nk.evaluation.label_check.orders import output_orders

SORTED = list(read_set("imagenet-1k")[0].wnids)
CLSLOC = clsloc_wnids()
ORDERS = label_orders(SORTED[:3])


def head_outputs(wnids, outputs, accuracy, rng):
    """(N, C) outputs of a head that is right to `accuracy`, for images of these classes; `outputs`: WNIDs in order."""
    place = {wnid: index for index, wnid in enumerate(outputs)}
    logits = torch.from_numpy(rng.normal(size=(len(wnids), len(outputs)))).float()
    for row, wnid in enumerate(wnids):
        if rng.random() < accuracy:
            logits[row, place[wnid]] += 10
    return logits


def check(shown, labels, given, outputs=SORTED, *, each=10, accuracy=0.9, seed=0, published=False):
    """The metrics of a check: images of the classes `shown`, `each` of them, that the list calls by `labels`."""
    order = np.argsort(labels)
    labels, shown = [labels[i] for i in order], [shown[i] for i in order]
    rows = np.repeat(np.arange(len(shown)), each)
    made = LabelCheck(labels, given, len(outputs), is_published_head=published)
    logits = head_outputs([shown[row] for row in rows], outputs, accuracy, np.random.default_rng(seed))
    for part in np.array_split(np.arange(len(rows)), 3):
        made.add(logits[part], torch.from_numpy(rows[part]))
    return made.result()


def some(count, seed=0):
    return [SORTED[k] for k in sorted(np.random.default_rng(seed).choice(1000, count, replace=False))]


GIVEN_ORDERS = {name: ORDERS[name] for name in ("sorted from 0", "clsloc from 1")}


@pytest.mark.parametrize("given", GIVEN_ORDERS)
@pytest.mark.parametrize("written", ["sorted from 0", "sorted from 1", "clsloc from 0", "clsloc from 1"])
def test_order_of_the_list_is_recognised(written, given):
    shown = some(40)
    number_of = {wnid: label for label, wnid in ORDERS[written].items()}
    labels = [number_of[wnid] for wnid in shown]
    if not set(labels) <= set(GIVEN_ORDERS[given]):
        pytest.skip("a label that labels= does not have is refused when the list is read")
    metrics = check(shown, labels, GIVEN_ORDERS[given], published=True).as_metrics()
    assert metrics["labels_wrong"] == (written != given)
    assert metrics["matching_label_order"] == (None if written == given else written)
    if written != given:
        assert f"they are numbered as {written}" in metrics["message"]


def test_dense_labels_are_recognised():
    shown = some(30)
    given = {label: SORTED[label] for label in range(1000)} | {}
    chosen = {SORTED.index(wnid): wnid for wnid in shown}
    dense = check(shown, list(range(30)), {**dict(enumerate(shown))}, published=True)
    assert not dense.are_labels_wrong
    assert not check(shown, sorted(chosen), given, published=True).are_labels_wrong


@pytest.mark.parametrize("given", GIVEN_ORDERS)
@pytest.mark.parametrize("outputs", [SORTED, CLSLOC], ids=["sorted head", "clsloc head"])
def test_right_labels_are_not_condemned_whatever_the_order_of_the_head(given, outputs):
    shown = some(40)
    number_of = {wnid: label for label, wnid in GIVEN_ORDERS[given].items()}
    verdict = check(shown, [number_of[wnid] for wnid in shown], GIVEN_ORDERS[given], outputs)
    metrics = verdict.as_metrics()
    assert not metrics["labels_wrong"]
    assert metrics["matching_head_order"] == ("sorted" if outputs is SORTED else "clsloc")
    assert metrics["is_default_head_order"] == (outputs is SORTED)
    assert verdict.head_fit().accuracy > 0.85


@pytest.mark.parametrize("by", ["labels", "sorted"])
def test_head_over_the_classes_of_a_label_file_is_recognised_in_either_order(by):
    shown = some(50)
    numbered = dict(enumerate(np.random.default_rng(1).permutation(shown).tolist()))
    outputs = list(numbered.values()) if by == "labels" else sorted(shown)
    verdict = check(list(numbered.values()), list(numbered), numbered, outputs)
    assert not verdict.are_labels_wrong
    assert verdict.head_fit().accuracy > 0.85


@pytest.mark.parametrize("classes", [2, 3, 5, 8, 40])
def test_untrained_head_condemns_nothing(classes):
    for seed in range(25):
        rng = np.random.default_rng(seed)
        shown = some(classes, seed)
        made = LabelCheck([SORTED.index(wnid) for wnid in shown], dict(enumerate(SORTED)), 1000)
        by_class = torch.from_numpy(rng.normal(size=(classes, 1000))).float()  # the same answer for a whole class
        rows = torch.arange(classes).repeat_interleave(10)
        made.add(by_class[rows] + 0.1 * torch.from_numpy(rng.normal(size=(len(rows), 1000))).float(), rows)
        verdict = made.result()
        metrics = verdict.as_metrics()
        assert not metrics["labels_wrong"]
        assert (metrics["swapped_classes"], metrics["likely_mislabelled"]) == ([], [])
        if classes < 4:
            assert verdict.majority_votes() == {}
            assert metrics["message"].startswith("the head's outputs are in an unknown order")


def test_head_of_other_classes_is_not_used():
    assert not LabelCheck([0, 1], dict(enumerate(SORTED)), 365).is_possible


@pytest.mark.parametrize(("outputs", "name"), [(11821, "imagenet-12k"), (21841, "imagenet-22k")])
def test_heads_of_timms_larger_sets_know_the_1000_classes(outputs, name):
    orders = output_orders(outputs, dict(enumerate(SORTED)))
    assert len(orders[name]) == outputs
    shown = [wnid for wnid in some(30) if wnid in set(orders[name])]
    verdict = check(shown, [SORTED.index(wnid) for wnid in shown], dict(enumerate(SORTED)), orders[name])
    assert verdict.as_metrics()["matching_head_order"] == name
    assert verdict.head_fit().accuracy > 0.85


@pytest.mark.parametrize(("each", "accuracy"), [(4, 1.0), (10, 0.8), (50, 0.7)])
@pytest.mark.parametrize("cycles", [[[4, 7]], [[3, 40], [11, 12]], [[3, 9, 5], [20, 21]]])
def test_swapped_classes_are_named(cycles, each, accuracy):
    shown = some(50)
    given = dict(enumerate(shown))
    for cycle in cycles:
        given |= {k: shown[other] for k, other in zip(cycle, [*cycle[1:], cycle[0]], strict=True)}
    metrics = check(shown, list(range(50)), given, sorted(shown), each=each, accuracy=accuracy).as_metrics()
    assert not metrics["labels_wrong"]
    expected = sorted(sorted(shown[k] for k in cycle) for cycle in cycles)
    assert sorted(map(sorted, metrics["swapped_classes"])) == expected
    seen = {given[k]: shown[k] for k in range(50)}
    for cycle in metrics["swapped_classes"]:  # what a class's label says -> what its images are
        assert [seen[wnid] for wnid in cycle] == [*cycle[1:], cycle[0]]
    assert metrics["message"].startswith(f"the labels of {sum(map(len, cycles))} classes look swapped")


@pytest.mark.parametrize(("each", "accuracy"), [(10, 0.1), (10, 0.4), (1, 0.7), (2, 0.7)])
def test_weak_head_names_no_class(each, accuracy):
    shown = some(50)
    for seed in range(20):
        metrics = check(
            shown, list(range(50)), dict(enumerate(shown)), sorted(shown), each=each, accuracy=accuracy, seed=seed
        ).as_metrics()
        assert (metrics["swapped_classes"], metrics["likely_mislabelled"]) == ([], [])


def test_class_full_of_another_one_is_named():
    shown = some(30)
    pictures = [shown[0], *shown[1:]]
    pictures[5] = shown[9]  # the images of class 5 show class 9
    metrics = check(pictures, list(range(30)), dict(enumerate(shown)), sorted(shown)).as_metrics()
    (named,) = metrics["likely_mislabelled"]
    assert (named["wnid"], named["predicted"]) == (shown[5], shown[9])
    assert named["share"] > 0.7


def test_p_value_of_a_perfect_head_is_that_of_one_permutation_among_all():
    shown = some(3)
    verdict = check(shown, [SORTED.index(wnid) for wnid in shown], dict(enumerate(SORTED)), accuracy=1.0)
    assert verdict.fit is None  # 1 / 3! is no evidence
    assert verdict.check.fits[0].p_value() == pytest.approx(1 / 6)
