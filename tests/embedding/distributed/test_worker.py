"""Workers that cannot build the backbone of the driver say so, with the name of their host."""

from __future__ import annotations

import dataclasses
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from imagenet_nk.embedding.distributed.engine import worker_spec
from imagenet_nk.embedding.distributed.tasks import embed
from imagenet_nk.embedding.executor import LocalExecutor
from imagenet_nk.embedding.messages import Shard
from imagenet_nk.errors import BackboneError
from small_models import TINY

SRC = Path(__file__).resolve().parents[3] / "src"
WITHOUT_TORCH = """
import pickle, sys
sys.modules["torch"] = None
task, shard = pickle.load(sys.stdin.buffer)
try:
    task(shard, None)
except Exception as error:
    print(error)
"""


@pytest.fixture
def spec(tiny, entries):
    executor = LocalExecutor()
    return worker_spec(executor.resolve(executor.plan(tiny, 0), [entries[0][0]]))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("weights_sha256", "0" * 64, rf"on {socket.gethostname()}: the weights of {TINY} .* are not those of the"),
        ("pixels", "of an older timm", "gives other embeddings here than in the driver: type "),
    ],
)
def test_a_backbone_that_differs_from_the_driver_is_refused(name, value, message, spec, entries):
    other = dataclasses.replace(spec, cache_key={**spec.cache_key, name: value})
    with pytest.raises(BackboneError, match=message):
        embed(Shard((other,), (entries[0][0],), 1), None)


def test_a_worker_without_torch_is_one_line(spec, entries):
    """In another process: the shard has to be unpickled without torch as well."""
    shard = Shard((spec,), (entries[0][0],), 1)
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH],
        input=pickle.dumps((embed, shard)), capture_output=True, env={"PYTHONPATH": str(SRC)}, check=False,
    )  # fmt: skip
    assert ended.stdout.decode() == f"{socket.gethostname()} lacks torch: install imagenet-nk there as it is here\n"
