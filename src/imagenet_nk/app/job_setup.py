"""What a job needs before its stages run: checked settings, the engine, the label map and the data set's folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from imagenet_nk.app.input_checks import check_inputs, refuse_none_texts, refuse_untyped
from imagenet_nk.classes import loading
from imagenet_nk.classes.label_map import LabelMap
from imagenet_nk.config import Config, NoSourceConfig, refuse_unknown
from imagenet_nk.dataset.folder_layout import LOCK
from imagenet_nk.dataset.object_store import check_writable
from imagenet_nk.engine.contract import Engine
from imagenet_nk.errors import ConfigError
from imagenet_nk.storage import files
from imagenet_nk.storage.run_lock import run_lock


@dataclass(frozen=True)
class JobSetup:
    """The parts that all stages of a job share."""

    cfg: DictConfig
    config: Config  # made of `cfg`
    engine: Engine
    label_map: LabelMap
    folder: Path  # of the data set, here or remote
    home: Path  # its folder on this machine, with ledger, indexes and embeddings

    @property
    def stages(self) -> frozenset[str]:
        return frozenset(self.config.stages)


@contextmanager
def prepare(cfg: DictConfig) -> Iterator[JobSetup]:
    """Check the configuration, open the engine and load the labels. Raises ImageNetNkError."""
    config = _typed(cfg)
    check_inputs(config)
    with closing(instantiate(cfg.engine)) as engine:
        folder = files.resolve(config.dataset.dir)
        home = files.local_dir_for(folder, config.dataset.state_dir)
        if {"collect", "lists"} & set(config.stages) and not config.plan:
            check_writable(folder, home)
        label_map = loading.load(config.classes, config.labels, lambda url: _download(url, home, config))
        if "collect" in config.stages and not config.plan:
            engine.preload("imagenet_nk.collect.distributed.worker", len(label_map) * (config.nk or sys.maxsize))
        yield JobSetup(cfg, config, engine, label_map, folder, home)


def _typed(cfg: DictConfig) -> Config:
    """The configuration as typed objects, whose own checks run here."""
    if "source" not in cfg:
        raise ConfigError(
            "the configuration is not that of imagenet-nk; to repeat a run, type what its .hydra/overrides.yaml lists"
        )
    refuse_untyped(cfg)
    refuse_unknown(cfg)
    refuse_none_texts(OmegaConf.to_container(cfg))
    config = OmegaConf.to_object(cfg)
    if not isinstance(config, Config):
        raise ConfigError("the configuration is not that of imagenet-nk: run src/imagenet.py or imagenet-nk")
    if isinstance(config.source, NoSourceConfig):
        raise ConfigError("none goes with source@fallback only; choose a source: --help lists them")
    return config


def _download(url: str, home: Path, config: Config) -> Path:
    from imagenet_nk.net.download import download

    with run_lock(home / LOCK):  # another run may be downloading the same file
        return download(url, home / "index" / url.rpartition("/")[2], config.http)
