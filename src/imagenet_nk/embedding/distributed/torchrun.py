"""torchrun: rank 0 leads, the others follow.

Rank 0 is an ordinary run. The others run no Hydra and no stage: they wait, at the store that torchrun keeps, for what
rank 0 has them do, and take part in its passes. So there is one output folder, one log and one error line, and a stage
that rank 0 does alone may take as long as it likes. Whatever ends one rank, torchrun ends the others.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from imagenet_nk.backbones.weights import first_line
from imagenet_nk.embedding.distributed import tasks
from imagenet_nk.embedding.distributed.results import joined, named, placed
from imagenet_nk.embedding.messages import BackboneSpec, ShardEmbeddings
from imagenet_nk.engine import torchrun
from imagenet_nk.engine.contract import Failure, Success, run_task, unwrap
from imagenet_nk.engine.cpu_count import cores
from imagenet_nk.errors import BackboneError, EngineError
from imagenet_nk.preprocessing.types import EmbeddingBatch, SkippedImage
from imagenet_nk.statistics.streaming import Mean, Spread

BLOCK = 64  # images, about, that a rank embeds between two exchanges
_LOOK = timedelta(seconds=30)  # for one look at the store
_EVER = timedelta(days=30)  # for an exchange: a rank that dies is noticed at once, by its closed connection
_numbers = itertools.count()  # of the passes


@dataclass(frozen=True)
class Pass:
    """What all ranks do together."""

    told: tuple[BackboneSpec, ...]
    paths: tuple[Path, ...]
    shape: tuple[int, int] = (0, 0)  # (K, D) of the sums
    classes: NDArray[np.int64] | None = None  # (N,) where sums are wanted, else embeddings

    def blocks(self, rank: int) -> list[range]:
        """The rows of a rank, a block for each exchange: whole batches; some are empty in the last one."""
        batch = self.told[0].backbone.batch_size or 1
        n, ranks = len(self.paths), torchrun.world()
        block = batch * -(-min(BLOCK, -(-n // ranks)) // batch)
        starts = range(0, n, ranks * block)
        return [range(min(start + rank * block, n), min(start + (rank + 1) * block, n)) for start in starts]


class RankCrew:
    """All ranks, as rank 0 sees them."""

    def __init__(self) -> None:
        self.threads = cores()

    def __str__(self) -> str:
        return f"{torchrun.world()} ranks"

    def device(self, wanted: str) -> str:
        return own_device(wanted)

    def decides(self, wanted: str) -> bool:  # noqa: ARG002 - all ranks have what rank 0 has
        return False

    def embed(
        self, told: Sequence[BackboneSpec], paths: Sequence[Path], rows: Sequence[int]
    ) -> Iterator[EmbeddingBatch]:
        own = Part(Pass(tuple(told), tuple(paths[row].absolute() for row in rows)))
        for block, share in _led(own):
            yield placed(share, [rows[place] for place in block], paths)

    def sum_up(
        self, told: BackboneSpec, paths: Sequence[Path], classes_N: NDArray[np.int64], mean: Mean, spread: Spread
    ) -> Iterator[tuple[int, list[SkippedImage]]]:
        shape = (mean.sums_KD.shape[0], mean.sums_KD.shape[1])
        own = Part(Pass((told,), tuple(path.absolute() for path in paths), shape, classes_N))
        for block, share in _led(own):
            yield len(block), named(share.faults, share.host, block, paths)
        for ours, all_of_it in zip((mean, spread), (own.mean, own.spread), strict=True):
            vars(ours).update(vars(all_of_it))


class Part:
    """A rank's part in a pass."""

    def __init__(self, task: Pass) -> None:
        self.task, self.blocks = task, task.blocks(torchrun.rank())
        self.mean, self.spread = Mean(*task.shape), Spread(*task.shape)
        self._slices: Iterator[EmbeddingBatch] | None = None

    def answer(self, number: int) -> Success | Failure:
        """The rank's answer to an exchange; models run on while it is on its way."""
        return run_task(lambda block, _: self._share(block), self.blocks[number], None)  # type: ignore[arg-type]

    def _share(self, block: range) -> ShardEmbeddings:
        parts: list[EmbeddingBatch] = []
        while sum(len(part.rows) + len(part.faults) for part in parts) < len(block):
            parts.append(self._added(next(self._running())))
        share = joined(parts, block)
        if self.task.classes is None:
            return share
        return replace(share, rows=share.rows[:0], embeddings=share.embeddings[:0])

    def _running(self) -> Iterator[EmbeddingBatch]:
        if self._slices is None:
            told, device = self.task.told, own_device(self.task.told[0].backbone.device)
            worker = tasks.worker(told, self.task.paths, cores(), device)
            self._slices = worker.slices(self.task.paths, list(itertools.chain(*self.blocks)))
            if self.task.classes is not None:
                self._slices = (worker.embedders[0].finite(part, self.task.paths) for part in self._slices)
        return self._slices

    def _added(self, part: EmbeddingBatch) -> EmbeddingBatch:
        if self.task.classes is not None and len(part.rows):
            x_BD, classes_B = torch.from_numpy(part.embeddings), torch.from_numpy(self.task.classes[part.rows])
            self.mean.add(x_BD, classes_B)
            self.spread.add(x_BD, classes_B)
        return part

    def reduce(self) -> None:
        """Make the sums of this rank those of all. Squares are about each rank's mean: they are moved to the common."""
        self.mean.sums_KD, self.mean.counts_K = _sum(self.mean.sums_KD), _sum(self.mean.counts_K)
        common_KD = self.mean.sums_KD / self.mean.counts_K.clamp(min=1)[:, None]
        moved_K = (self.spread.mean_KD - common_KD).square().sum(1) * self.spread.counts_K
        self.spread.squares_K = _sum(self.spread.squares_K + moved_K)
        self.spread.mean_KD, self.spread.counts_K = common_KD, self.mean.counts_K.clone()


def own_device(wanted: str) -> str:
    """The device of this rank for a backbone.device."""
    if wanted.startswith("cuda:"):
        raise BackboneError(f"under torchrun each rank has a GPU of its own: backbone.device=cuda, not {wanted}")
    if wanted == "cuda" or (wanted == "auto" and torch.cuda.is_available()):
        return f"cuda:{torchrun.local_rank()}"
    return wanted


# --- rank 0


def _led(own: Part) -> Iterator[tuple[range, ShardEmbeddings]]:
    """A pass of all ranks: their blocks in the order of the list, with the answers."""
    blocks = [own.task.blocks(rank) for rank in range(torchrun.world())]
    with _one_lost():
        _tell(own_device(own.task.told[0].backbone.device).startswith("cuda"))
        _say(own.task)
    word = "stop"  # should this end early: the others are not to wait for more
    try:
        for number in range(len(own.blocks)):
            with _one_lost():
                _say("go")
                answers = _gathered(own.answer(number))
            for rank, answer in enumerate(answers or ()):
                if blocks[rank][number]:
                    yield blocks[rank][number], unwrap(answer)
                else:
                    unwrap(answer)
        word = "stop" if own.task.classes is None else "reduce"
    finally:
        with _one_lost():
            _say(word)
            if word == "reduce":
                own.reduce()


def dismiss() -> None:
    """Send the others home. Called once, when rank 0 is done, however it ends."""
    with suppress(RuntimeError):  # they, or torchrun itself, may have gone first
        _store().set(str(next(_numbers)), "end")
        if dist.is_initialized():
            dist.destroy_process_group()


def _tell(cuda: bool) -> None:
    """Call all ranks together."""
    _store().set(str(next(_numbers)), "cuda" if cuda else "cpu")
    _join(cuda)


@contextmanager
def _one_lost() -> Iterator[None]:
    """What an exchange raises when a rank is gone, as one line."""
    try:
        yield
    except dist.DistError as error:
        raise EngineError(f"a rank of this torchrun is gone ({first_line(error)}): {_AGAIN}") from error
    except RuntimeError as error:
        if "gloo" not in str(error) and "NCCL" not in str(error):
            raise
        raise EngineError(f"a rank of this torchrun is gone ({first_line(error)}): {_AGAIN}") from error


_AGAIN = "what was kept so far is whole, and the same command goes on from there"


# --- the other ranks


def follow() -> int:
    """What every rank but 0 does, until rank 0 is done or gone; returns the exit code of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the whole group gets it, and rank 0 decides
    try:
        for number in itertools.count():
            word = _waited_for(str(number))
            if word == "end":
                break
            _join(word == "cuda")
            _take_part(Part(_say(None)))
        if dist.is_initialized():
            dist.destroy_process_group()
    except RuntimeError:  # of the connection: what goes wrong in a pass is an answer to rank 0
        return 1
    return 0


def _take_part(own: Part) -> None:
    for number in itertools.count():
        word = _say(None)
        if word == "reduce":
            own.reduce()
        if word != "go":
            return
        _gathered(own.answer(number))


def _waited_for(key: str) -> str:
    while True:
        try:
            _store().wait([key], _LOOK)
        except dist.DistStoreError:
            continue  # rank 0 may collect for days; when it ends, torchrun ends this process
        return _store().get(key).decode()


# --- all ranks


@cache
def _store() -> Store:
    store, _, _ = next(rendezvous("env://"))
    return PrefixStore(f"imagenet-nk/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def _join(cuda: bool) -> None:
    if dist.is_initialized():
        return
    cuda = cuda and torch.cuda.is_available()
    if cuda and torchrun.local_rank() < torch.cuda.device_count():
        torch.cuda.set_device(torchrun.local_rank())
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if cuda else "gloo",
        store=PrefixStore("group", _store()),
        rank=torchrun.rank(),
        world_size=torchrun.world(),
        timeout=_EVER,
    )


def _say(word: Any) -> Any:
    """What rank 0 says, to everyone."""
    said = [word]
    dist.broadcast_object_list(said, src=0, device=torch.device("cpu"))
    return said[0]


def _gathered(answer: Success | Failure) -> list[Any] | None:
    """The answers of all ranks, in rank 0."""
    answers: list[Any] | None = [None] * torchrun.world() if torchrun.rank() == 0 else None
    dist.gather_object(answer, answers, dst=0)
    return answers


def _sum(values: torch.Tensor) -> torch.Tensor:
    """The sum over all ranks, on the CPU; by NCCL where they have GPUs, else by gloo."""
    on_gpu = "nccl" in str(dist.get_backend_config())
    moved = values.to(f"cuda:{torchrun.local_rank()}") if on_gpu else values.clone()
    dist.all_reduce(moved)
    return moved.cpu()
