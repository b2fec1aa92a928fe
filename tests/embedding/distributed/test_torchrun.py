"""How ranks share a list and a machine; the ranks themselves are in test_torchrun.py."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from imagenet_nk.config import BackboneConfig, CentersConfig
from imagenet_nk.embedding.distributed.torchrun import BLOCK, Pass, own_device
from imagenet_nk.embedding.messages import BackboneSpec
from imagenet_nk.engine import cpu_count, torchrun
from imagenet_nk.errors import BackboneError


@pytest.fixture
def ranks(monkeypatch):
    """As torchrun starts the second of three processes, all on one machine."""
    said = {"RANK": 1, "WORLD_SIZE": 3, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 3, "MASTER_ADDR": "here", "MASTER_PORT": 1}
    for name, value in said.items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.usefixtures("ranks")
@pytest.mark.parametrize(("images", "batch"), [(1, 4), (10, 4), (1000, 7), (1000, 512), (BLOCK * 6, BLOCK)])
def test_every_row_is_in_one_block_and_batches_are_whole(images, batch):
    order = BackboneSpec(BackboneConfig(name="any", batch_size=batch), CentersConfig(), 0, {})
    task = Pass((order,), (Path("a"),) * images)
    shares = [task.blocks(rank) for rank in range(3)]
    in_order = itertools.chain(*(exchange for exchange in zip(*shares, strict=True)))
    assert list(itertools.chain(*in_order)) == list(range(images))
    for share in shares:
        sizes = [len(block) for block in share if len(block)]
        assert all(size % batch == 0 for size in sizes[:-1]), "or slices would not end where blocks do"


@pytest.mark.usefixtures("ranks")
def test_ranks_share_the_cores_of_their_machine(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(16), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # torchrun's own doing
    assert cpu_count.cores() == 5


def test_a_job_among_others_has_the_cores_that_it_is_given(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(16), raising=False)
    for given, cores in (("4", 4), ("64", 16), ("", 16), ("0", 16), ("4,2", 16)):
        monkeypatch.setenv("OMP_NUM_THREADS", given)
        assert cpu_count.cores() == cores


@pytest.mark.usefixtures("ranks")
def test_each_rank_has_its_own_gpu():
    assert own_device("cuda") == "cuda:1"
    assert own_device("cpu") == "cpu"
    with pytest.raises(BackboneError, match=r"each rank has a GPU of its own: backbone\.device=cuda, not cuda:0"):
        own_device("cuda:0")


@pytest.mark.usefixtures("ranks")
def test_what_a_rank_starts_is_no_rank(monkeypatch):
    monkeypatch.setenv("IMAGENET_NK_LEADER", "")  # put back afterwards
    torchrun.lead()
    assert torchrun.leads()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert not torchrun.leads()
    monkeypatch.delenv("MASTER_ADDR")
    assert (torchrun.rank(), torchrun.world()) == (0, 1), "variables of something else"
