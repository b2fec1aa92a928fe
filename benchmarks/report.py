"""What a report over 1000 classes x 10 images costs: seconds and memory to write, seconds until it is open, smoothness.

    python benchmarks/report.py [--classes 1000] [--images 10] [--dim 2048]

Photographs are stood in for by drawn JPEGs of 500 x 375, the usual size in ImageNet. The browser is a headless Chromium
with its network off; without one only the writing is measured.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from imagenet_nk.centers.file import NAME as CENTERS  # noqa: E402
from imagenet_nk.centers.file import Centers  # noqa: E402
from imagenet_nk.classes import loading  # noqa: E402
from imagenet_nk.config import ClassesConfig, LabelsConfig  # noqa: E402
from imagenet_nk.dataset.class_table import ClassRow, class_frame, write_csv  # noqa: E402
from imagenet_nk.dataset.folder_layout import MANIFEST  # noqa: E402
from imagenet_nk.dataset.manifest import MANIFEST_COLUMNS, manifest_frame  # noqa: E402
from imagenet_nk.preprocessing.row_cache import open_cache  # noqa: E402
from imagenet_nk.report import build  # noqa: E402
from imagenet_nk.storage import files  # noqa: E402

_FRAMES = """
const done = arguments[0], times = [];
let before = performance.now(), y = 0;
const sheets = document.getElementById('sheets').getBoundingClientRect().top + scrollY;
function frame(now) {
  times.push(now - before); before = now; y += 120;
  scrollTo({ top: sheets + y, behavior: 'instant' });
  times.length < 240 ? requestAnimationFrame(frame) : done(times.slice(5));
}
requestAnimationFrame(frame);
"""


def make(folder: Path, run: Path, count: int, each: int, dim: int) -> None:
    """A data set of drawn photographs, with centers and embeddings that fall into clusters."""
    known = loading.load(ClassesConfig(table="imagenet-1k", limit=count), LabelsConfig(order="sorted"))
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(count // 10 + 1, dim)).repeat(10, axis=0)[:count] + rng.normal(size=(count, dim))
    points = centers.repeat(each, axis=0) + 1.5 * rng.normal(size=(count * each, dim))
    rows, table, paths = [], [], []
    for label, (wnid, name) in enumerate(zip(known.wnids, known.names, strict=True)):
        (folder / "images" / wnid).mkdir(parents=True)
        for serial in range(each):
            path = f"images/{wnid}/{wnid}_{serial}.jpg"
            (folder / path).write_bytes(photograph(rng))
            photo = f"{rng.integers(10**9)}_{rng.integers(10**9):x}.jpg"
            url = f"http://farm{serial}.static.flickr.com/{1000 + label}/{photo}"
            row = dict.fromkeys(MANIFEST_COLUMNS, "") | {"image_id": f"{wnid}_{serial}", "wnid": wnid}
            sizes = {"bytes": 1, "width": 500, "height": 375}
            rows.append({**row, **sizes, "label": label, "path": path, "split": "eval", "source": "urls", "url": url})
            paths.append(folder / path)
        fixed = {"label": label, "wnid": wnid, "name": name, "wanted": each, "kept": each, "tried": 3 * each}
        table.append(ClassRow(fixed, Counter(http_404=each, placeholder=each), {}))
    manifest_frame(rows).to_parquet(folder / MANIFEST, index=False)
    write_csv(class_frame(table), folder / "classes.csv")
    key = {"weights_sha256": "drawn", "pixels": "drawn", "dim": dim}
    with open_cache(folder, "drawn", key, dim) as store:
        store.append(files.stat_many(paths), points.astype(np.float32))
    labels = np.arange(count)
    spread = np.full(count, 1.0, np.float32)
    words = {"backbone": "drawn", "weights": "drawn", "weights_sha256": "drawn", "transform": "drawn"}
    means = points.reshape(count, each, dim).mean(axis=1).astype(np.float32)
    Centers(means, np.full(count, each), labels, spread, known.wnids, known.names, words).save(run / CENTERS)


def photograph(rng: np.random.Generator) -> bytes:
    """A JPEG of 500 x 375 with as much to decode as a photograph."""
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((500, 375))
    noisy = np.asarray(coarse, np.int16) + rng.integers(-20, 20, (375, 500, 1))
    data = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(data, "JPEG", quality=88)
    return data.getvalue()


def browse(page: Path, profile: Path) -> dict[str, float]:
    """Seconds until the page is ready, and milliseconds a frame while its sheets scroll by."""
    from browser import chromium

    with chromium(profile) as driver:
        opening = []
        for _ in range(3):
            before = time.perf_counter()
            driver.get(page.as_uri())
            assert driver.execute_script("return document.documentElement.dataset.ready") == "yes"
            opening.append(time.perf_counter() - before)
        driver.set_script_timeout(120)
        frames = sorted(driver.execute_async_script(_FRAMES))
    return {
        "open_s": round(statistics.median(opening), 2),
        "frame_ms_median": round(statistics.median(frames), 1),
        "frame_ms_p95": round(frames[int(0.95 * len(frames))], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--keep", type=Path, help="leave the report here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder, run = Path(place) / "dataset", Path(place) / "run"
        making = multiprocessing.get_context("fork").Process(  # so that the memory of making it does not count
            target=make, args=(folder, run, given.classes, given.images, given.dim)
        )
        making.start()
        making.join()
        if making.exitcode:
            sys.exit("the data set could not be made")
        before = time.perf_counter()
        page = build.write(folder, run)
        seconds = time.perf_counter() - before
        figures = {
            "classes": given.classes,
            "images": given.classes * given.images,
            "write_s": round(seconds, 1),
            "peak_MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "page_MB": round(page.stat().st_size / 1e6, 2),
            "thumbnails_MB": round(sum(f.stat().st_size for f in (page.parent / "thumbnails").iterdir()) / 1e6, 1),
            "cores": os.cpu_count(),
        }
        if shutil.which("chromedriver"):
            figures |= browse(page, Path(place) / "profile")
        print(json.dumps(figures))
        if given.keep:
            shutil.copytree(page.parent, given.keep, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
