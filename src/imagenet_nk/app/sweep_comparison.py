"""Hydra callback: when a sweep ends, comparison.csv and comparison.html beside its jobs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

log = logging.getLogger(__name__)


class SweepComparison(Callback):
    """Stands after Outcome in the configuration: at an end Hydra calls the last one first, and Outcome leaves."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        from imagenet_nk.report import sweep  # after the sweep: --help imports no pandas

        if page := sweep.write(Path(config.hydra.sweep.dir)):
            log.info("the sweep, compared: %s", page)
