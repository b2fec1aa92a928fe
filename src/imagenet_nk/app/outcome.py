"""How a job ends: outcome.json beside its results, one line for an error, and the exit code of the process."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from imagenet_nk.app import error_lines
from imagenet_nk.run_outcome import COMPLETE, FAILED, FILE
from imagenet_nk.storage import files
from imagenet_nk.wording import one_line

log = logging.getLogger(__name__)

TRACEBACKS = "IMAGENET_NK_TRACEBACKS"  # environment variable: 1 if the user has set HYDRA_FULL_ERROR=1


class Outcome(Callback):
    """Hydra callback. A job that fails with an error that a user can mend does not stop a sweep.

    The task function returns COMPLETE or SHORT. Any other exception is a fault of the program: it passes, with its
    traceback.
    """

    def __init__(self) -> None:
        self._earlier: set[tuple[Path, int]] = set()  # outcomes that stand in the sweep's folder from another sweep

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        self._earlier = _outcomes(config)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:  # noqa: ARG002
        line = None
        if job_return.status == JobStatus.FAILED:
            error = job_return._return_value
            line = error_lines.describe_user_error(error)
            if line is not None:
                if not log.hasHandlers():  # hydra/job_logging=disabled
                    sys.stderr.write(f"{line}\n")
                log.error(line, exc_info=error if os.environ.get(TRACEBACKS) == "1" else None)
                job_return.status, job_return.return_value = JobStatus.COMPLETED, FAILED
            else:
                line = f"{type(error).__name__}: {one_line(error)}"
        code = FAILED if job_return.status == JobStatus.FAILED else job_return.return_value or COMPLETE
        record = {"exit_code": code, "reason": line or ""}
        output = Path(HydraConfig.get().runtime.output_dir)
        files.write_text(output / FILE, json.dumps(record, ensure_ascii=False) + "\n")

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        job_return: JobReturn = kwargs["job_return"]
        if job_return.status == JobStatus.COMPLETED and job_return.return_value:
            raise SystemExit(job_return.return_value)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        codes = {json.loads(file.read_text(encoding="utf-8"))["exit_code"] for file, _ in self._new(config)}
        if worst := FAILED if FAILED in codes else max(codes, default=COMPLETE):
            raise SystemExit(worst)

    def _new(self, config: DictConfig) -> set[tuple[Path, int]]:
        return _outcomes(config) - self._earlier


def _outcomes(config: DictConfig) -> set[tuple[Path, int]]:
    """The outcome files of a sweep's jobs, whatever their subfolders, with their times of writing."""
    return {(file, file.stat().st_mtime_ns) for file in Path(config.hydra.sweep.dir).rglob(FILE)}
