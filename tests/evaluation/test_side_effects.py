"""Using the library changes nothing of the process that uses it."""

from __future__ import annotations

import random
import resource
import signal
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import imagenet_nk
from imagenet_nk.embedding.run import EmbeddingConfig
from imagenet_nk.lists.list_file import Entry, write_list
from small_models import compute, label_map


def process_state() -> dict[str, Any]:
    """What a library could leave behind: random numbers, settings of torch, warning filters, signals, limits."""
    return {
        "random": random.getstate(),
        "numpy": [str(part) for part in np.random.get_state()],
        "torch random": torch.get_rng_state().tolist(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "deterministic": (torch.are_deterministic_algorithms_enabled(), torch.get_default_dtype()),
        "cudnn": {
            name: getattr(torch.backends.cudnn, name)
            for name in ("allow_tf32", "benchmark", "deterministic", "enabled")
        },
        "matmul": (torch.backends.cuda.matmul.allow_tf32, torch.get_float32_matmul_precision()),
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "warnings": list(warnings.filters),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "open files": resource.getrlimit(resource.RLIMIT_NOFILE),
    }


@pytest.mark.parametrize("changes", [{}, {"preprocess": "torch", "threads": 0, "batch_size": None}])
def test_evaluating_centers_changes_nothing_of_the_process(changes, entries, tiny, tmp_path):
    centers = compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path)
    before = process_state()
    imagenet_nk.evaluate(centers, entries, **changes)
    assert process_state() == before


def test_reading_centers_and_lists_changes_nothing_of_the_process(entries, tiny, tmp_path):
    compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path)
    write_list(tmp_path / "train.txt", [Entry(str(path), label) for path, label in entries])
    before = process_state()
    centers = imagenet_nk.load_centers(tmp_path)
    centers.as_classifier("cl2n")(torch.from_numpy(centers.centers))
    assert len(imagenet_nk.ImageList(tmp_path / "train.txt")) == len(entries)
    imagenet_nk.ImageList(tmp_path / "train.txt")[0]
    assert process_state() == before
