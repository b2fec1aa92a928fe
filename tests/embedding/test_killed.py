"""A run that is killed leaves a cache that the next run continues, to the same centers."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np

import imagenet_nk
from imagenet_nk.embedding.run import EmbeddingConfig
from small_models import TINY, compute, label_map, run_centers

RUN = f"""
import json, sys, time
from pathlib import Path
from small_models import compute, label_map
from imagenet_nk.embedding.run import EmbeddingConfig
from imagenet_nk.config import BackboneConfig

entries = [(Path(path), label) for path, label in json.loads(sys.argv[1])]
config = BackboneConfig(name="{TINY}", pretrained=False, device="cpu", batch_size=2, threads=1)

def slowly(done, _):
    print(done, flush=True)
    time.sleep(0.2)

setting = EmbeddingConfig(config, cache=Path(sys.argv[2]))
compute(entries, label_map(5), setting, Path(sys.argv[3]), progress=slowly)
"""


def test_a_killed_run_is_continued_to_the_same_centers(entries, tiny, tmp_path):
    listed = json.dumps([[str(path), label] for path, label in entries])
    output, cache = tmp_path / "output", tmp_path / "cache"
    with subprocess.Popen(
        [sys.executable, "-c", RUN, listed, str(cache), str(output)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    ) as run:
        assert run.stdout is not None
        while int(run.stdout.readline()) < 6:
            pass
        run.kill()
    assert not (output / "centers.safetensors").exists()
    setting = EmbeddingConfig(tiny, cache=cache)
    computed = run_centers(entries, label_map(5), setting, output)
    assert 0 < computed.embeddings.embedded <= len(entries) - 6
    made = imagenet_nk.load_centers(output)
    whole = compute(entries, label_map(5), EmbeddingConfig(tiny), tmp_path / "whole")
    np.testing.assert_array_equal(made.counts, whole.counts)
    np.testing.assert_allclose(made.centers, whole.centers, rtol=1e-4, atol=1e-6)
