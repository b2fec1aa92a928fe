"""Whether further processes help collecting: the clean web of clean_web.py with one process and with more.

    python benchmarks/engines.py --photographs DIR [--classes 50 200 1000] [--processes 1 2]

10 images a class, all good; the web costs the same machine about a sixth of the CPU. One JSON object a size: seconds of
the stage (start of workers included), CPU seconds of all processes, and whether eval.txt is the same.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from collect import NK, PORT, ROOT, ours, serving
from imagenet_nk.classes import loading
from imagenet_nk.config import ClassesConfig, LabelsConfig


def measured(folder: Path, photographs: str, count: int, processes: int) -> tuple[dict[str, float], bytes]:
    """One run, and its eval.txt."""
    wnids = loading.load(ClassesConfig(table="imagenet-1k"), LabelsConfig(order="sorted")).wnids[:count]
    (folder / "wnids.txt").write_text("\n".join(wnids) + "\n")
    ids = enumerate(f"{wnid}_{k}" for wnid in wnids for k in range(NK))
    url_list = folder / "urls.txt"
    url_list.write_text("".join(f"{one}\thttp://127.0.0.1:{PORT}/{n % 1000}/{one}.jpg\n" for n, one in ids))
    output = folder / f"output-{count}-{processes}"
    with serving(str(ROOT / "benchmarks/clean_web.py"), photographs, str(PORT)):
        run = ours(url_list, folder / "wnids.txt", folder, f"engine.processes={processes}", f"hydra.run.dir={output}")
    stage = json.loads((output / "stages.json").read_text())[0]
    return {"stage_s": stage["seconds"], "cpu_s": run["cpu_s"]}, (folder / "ours" / "eval.txt").read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", required=True, help="folder of JPEGs")
    parser.add_argument("--classes", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    for count in args.classes:
        with tempfile.TemporaryDirectory() as folder:
            runs = {n: measured(Path(folder), args.photographs, count, n) for n in args.processes}
        same = len({lists for _, lists in runs.values()}) == 1
        print(json.dumps({"images": count * NK, "same": same, **{n: figures for n, (figures, _) in runs.items()}}))


if __name__ == "__main__":
    main()
