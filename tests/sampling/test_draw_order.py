from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.errors import ConfigError
from imagenet_nk.sampling.draw_order import EvalOnly, Holdout, RandomOrder, draw

WNID = "n01440764"
ids = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), unique=True, max_size=30)


@given(ids=ids, seed=st.integers(), shuffled=st.randoms())
def test_order_does_not_depend_on_the_order_of_the_list(ids: list[str], seed: int, shuffled: random.Random) -> None:
    order = RandomOrder(seed).arrange(WNID, ids)
    assert sorted(order) == sorted(ids)
    shuffled.shuffle(ids)
    assert RandomOrder(seed).arrange(WNID, iter(ids)) == order


@given(ids=ids, seed=st.integers(), data=st.data())
def test_relative_order_does_not_depend_on_other_ids(ids: list[str], seed: int, data: st.DataObject) -> None:
    subset = data.draw(st.sets(st.sampled_from(ids)) if ids else st.just(set()))
    order = RandomOrder(seed).arrange(WNID, ids)
    assert RandomOrder(seed).arrange(WNID, subset) == [image_id for image_id in order if image_id in subset]


def test_order_is_the_same_in_every_version() -> None:
    """Recorded once: a change here would give every user another data set under the same seed."""
    assert draw(0, WNID, f"{WNID}_10026") == 17630225717636276675
    assert draw(0, WNID, 7) == draw(0, WNID, "7")
    assert RandomOrder(0).arrange(WNID, [f"{WNID}_{serial}" for serial in range(8)]) == [
        f"{WNID}_{serial}" for serial in (7, 0, 6, 3, 1, 4, 5, 2)
    ]


def test_seed_and_class_change_the_order() -> None:
    names = [str(serial) for serial in range(50)]
    orders = {
        tuple(RandomOrder(seed).arrange(wnid, names)) for seed in range(5) for wnid in (WNID, "n01443537", "n02012849")
    }
    assert len(orders) == 15


def test_every_id_comes_first_about_equally_often() -> None:
    names = [str(serial) for serial in range(10)]
    first = [RandomOrder(seed).arrange(WNID, names)[0] for seed in range(2000)]
    counts = [first.count(name) for name in names]
    assert min(counts) > 140  # 200 expected, standard deviation 13.4
    assert max(counts) < 260


def test_random_order_has_no_listed_images() -> None:
    assert RandomOrder(0).listed(WNID) is None


@given(kept=st.integers(0, 2000))
def test_eval_only_holds_out_all(kept: int) -> None:
    assert EvalOnly().held_out(kept) == kept


@given(kept=st.integers(0, 2000), more=st.integers(0, 2000), eval_per_class=st.integers(1, 50))
def test_raising_nk_leaves_a_full_evaluation_set_as_it_was(kept: int, more: int, eval_per_class: int) -> None:
    split = Holdout(eval_per_class)
    held = split.held_out(kept)
    assert held == min(kept, eval_per_class)
    if held == eval_per_class:
        assert split.held_out(kept + more) == held


@pytest.mark.parametrize("eval_per_class", [None, 0, -1])
def test_holdout_needs_a_count(eval_per_class: int | None) -> None:
    with pytest.raises(ConfigError, match="must be at least 1"):
        Holdout(eval_per_class)


def test_eval_only_takes_no_count() -> None:
    with pytest.raises(ConfigError, match="split=holdout"):
        EvalOnly(2)
