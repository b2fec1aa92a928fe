"""How a job ends: outcome.json beside its results, one line for an error, and the exit code of the process."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from imagenet_nk.errors import ImageNetNkError

log = logging.getLogger(__name__)

COMPLETE, FAILED, SHORT = 0, 1, 3
FILE = "outcome.json"


class Outcome(Callback):
    """Hydra callback. A job that fails with an error of ours is said in one line and does not stop a sweep.

    The task function returns COMPLETE or SHORT. Any other exception is a fault of the program: it passes, with its
    traceback.
    """

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:  # noqa: ARG002
        reason = ""
        if job_return.status == JobStatus.FAILED:
            error = job_return._return_value
            reason = " ".join(str(error).split()) or type(error).__name__
            if isinstance(error, ImageNetNkError):
                log.error(reason)
                job_return.status, job_return.return_value = JobStatus.COMPLETED, FAILED
        code = FAILED if job_return.status == JobStatus.FAILED else job_return.return_value
        record = {"exit_code": code, "reason": reason}
        output = Path(HydraConfig.get().runtime.output_dir)
        (output / FILE).write_text(json.dumps(record) + "\n", encoding="utf-8")

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        job_return: JobReturn = kwargs["job_return"]
        if job_return.status == JobStatus.COMPLETED and job_return.return_value:
            raise SystemExit(job_return.return_value)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        codes = {json.loads(file.read_text())["exit_code"] for file in Path(config.hydra.sweep.dir).glob(f"*/{FILE}")}
        if worst := FAILED if FAILED in codes else max(codes, default=COMPLETE):
            raise SystemExit(worst)
