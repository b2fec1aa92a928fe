"""How quick the collector is, as ratios within one run: to the limit of its parts, and to img2dataset on the same web.

    python benchmarks/collect.py clean  --photographs DIR [--peer PYTHON]
    python benchmarks/collect.py memory --photographs DIR
    python benchmarks/collect.py broken --simulator chaosweb.py [--peer PYTHON]

`clean`: 10,000 addresses, 1000 classes x 10, all good (clean_web.py). The limit is
cores / (CPU seconds an image of fetching with pycurl + decoding + writing), each measured alone, before and after.
`memory`: the same web; peak memory of all processes together, of 50 classes and of 1000.
`broken`: 200 classes x 60 addresses, half of them bad, N_k = 10. Requests are compared with an oracle that fetches in
draw order one by one. PYTHON is an interpreter of an environment that has img2dataset. Settings of our own side go
behind --set, such as engine.processes=2; TMPDIR says on which disk all of it happens.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks")]

from imagenet_nk.classes import loading  # noqa: E402
from imagenet_nk.collect.fetching.inspector import Inspector  # noqa: E402
from imagenet_nk.config import ClassesConfig, HttpConfig, InspectConfig, LabelsConfig  # noqa: E402
from imagenet_nk.dataset.image_store import ImageStore  # noqa: E402
from imagenet_nk.net.curl_transport import CurlTransport  # noqa: E402
from imagenet_nk.net.http import Request  # noqa: E402
from imagenet_nk.sampling.draw_order import draw  # noqa: E402

NK = 10
CHECKED = {"yes": (True,), "no": (False,), "both": (True, False)}
PORT = 19870
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@contextmanager
def serving(*command: str) -> Iterator[int]:
    """A server in a process of its own, ready when it prints its first line. Yields its process id."""
    server = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        yield server.pid
    finally:
        server.terminate()
        server.wait()


def timed(command: Sequence[str], folder: Path) -> dict[str, float]:
    """Wall and CPU seconds of a command and all its processes, peak MB of the largest of them; raises if it fails."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what outlives the command becomes a child of this process
    others, started, before = _children(os.getpid()), time.perf_counter(), _cpu_of_ended()
    with (folder / "log").open("w+") as log:
        child = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall, peak = time.perf_counter() - started, used.ru_maxrss
        for orphan in _children(os.getpid()) - others:
            peak = max(peak, os.wait4(orphan, 0)[2].ru_maxrss)
        if child.returncode not in (0, 3):
            log.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{log.read()[-2000:]}")
    return {"wall_s": wall, "cpu_s": _cpu_of_ended() - before, "peak_mb": peak / 1024}


def _children(process: int) -> set[int]:
    """None of a process that has ended."""
    children = set[int]()
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{process}/task").iterdir():
            children.update(map(int, (task / "children").read_text().split()))
    return children


def _cpu_of_ended() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ours(url_list: Path, wnids: Path, folder: Path, *more: str) -> dict[str, float]:
    """Our own collector over a list, as a user runs it, start-up included."""
    shutil.rmtree(folder / "ours", ignore_errors=True)
    command = [sys.executable, str(ROOT / "src/imagenet.py"), f"nk={NK}", "source=urls", f"source.list={url_list}"]
    command += ["source@fallback=none", "http.allow_private=true", "stages=[collect,lists]", f"classes.wnids={wnids}"]
    return timed([*command, f"dataset.dir={folder / 'ours'}", *more], folder)


def peer(python: str, url_list: Path, folder: Path, threads: int, *, checked: bool) -> dict[str, float]:
    """img2dataset over the same addresses, storing originals: decode-checked, or unchecked bytes."""
    shutil.rmtree(folder / "peer", ignore_errors=True)
    table = folder / "peer.txt"
    table.write_text("".join(line.split("\t")[1] for line in url_list.read_text().splitlines(keepends=True)))
    keep = ["--skip_reencode=True"] if checked else ["--disable_all_reencoding=True"]
    command = [python, "-m", "img2dataset.main", f"--url_list={table}", f"--output_folder={folder / 'peer'}"]
    command += ["--output_format=files", f"--processes_count={os.cpu_count()}", f"--thread_count={threads}"]
    command += ["--resize_mode=no", "--number_sample_per_shard=1000", "--enable_wandb=False", "--retries=0", *keep]
    return timed(command, folder)


def limit(photographs: Path, port: int, folder: Path, count: int = 2000) -> dict[str, float]:
    """CPU seconds an image of each part alone."""
    data = [file.read_bytes() for file in sorted(photographs.iterdir())]
    inspector, store = Inspector(InspectConfig()), ImageStore(folder / "limit")
    parts = {"fetch": _cpu(lambda: _fetch(port, count, len(data))) / count}
    parts["decode"] = _cpu(lambda: [inspector.inspect(item) for item in data]) / len(data)
    parts["write"] = _cpu(lambda: [store.write("n00000000", f"{n}.jpg", d) for n, d in enumerate(data)]) / len(data)
    return parts


def _cpu(work: object) -> float:
    started = time.process_time()
    work()  # type: ignore[operator]
    return time.process_time() - started


def _fetch(port: int, count: int, photographs: int) -> None:
    transport = CurlTransport(HttpConfig(allow_private=True))
    asked = ended = 0
    while ended < count:
        while asked < count and asked - ended < 32:
            transport.submit(Request(f"http://127.0.0.1:{port}/{asked % photographs}/{asked}.jpg"), asked)
            asked += 1
        ended += len(transport.poll(1.0))
    transport.close()


def clean_list(folder: Path, count: int) -> tuple[Path, Path]:
    """The list of a web of `count` classes, and their WNIDs."""
    wnids = loading.load(ClassesConfig(table="imagenet-1k"), LabelsConfig(order="sorted")).wnids[:count]
    names, url_list = folder / "wnids.txt", folder / "urls.txt"
    names.write_text("\n".join(wnids) + "\n")
    ids = enumerate(f"{wnid}_{k}" for wnid in wnids for k in range(NK))
    url_list.write_text("".join(f"{one}\thttp://127.0.0.1:{PORT}/{n % 1000}/{one}.jpg\n" for n, one in ids))
    return url_list, names


def memory(args: argparse.Namespace, folder: Path) -> dict[str, object]:
    peaks = {}
    with serving(str(ROOT / "benchmarks/clean_web.py"), args.photographs, str(PORT)):
        for count in (50, 1000):
            with watched() as held:
                ours(*clean_list(folder, count), folder, *args.set)
            peaks[count] = max(held)
    return {"peak_mb": peaks, "ratio": peaks[1000] / peaks[50]}


@contextmanager
def watched() -> Iterator[list[float]]:
    """MB that all processes begun within the block hold together, pages that several share counted once: ten looks a
    second, of which the block's list has one each."""
    others, held, over = _descendants(), [0.0], threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            held.append(sum(map(_proportional_kb, _descendants() - others)) / 1024)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield held
    finally:
        over.set()
        watcher.join()


def _descendants() -> set[int]:
    """All processes below this one."""
    found, todo = set[int](), [os.getpid()]
    while todo:
        fresh = _children(todo.pop()) - found
        found |= fresh
        todo += fresh
    return found


def _proportional_kb(process: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        return int(next((line.split()[1] for line in lines if line.startswith("Pss:")), 0))
    return 0


def clean(args: argparse.Namespace, folder: Path) -> dict[str, object]:
    url_list, names = clean_list(folder, args.classes)
    images = args.classes * NK
    result: dict[str, object] = {}
    with serving(str(ROOT / "benchmarks/clean_web.py"), args.photographs, str(PORT)):
        before = limit(Path(args.photographs), PORT, folder)
        own = ours(url_list, names, folder, *args.set)
        stage = json.loads(next((folder / "outputs").rglob("stages.json")).read_text())[0]
        after = limit(Path(args.photographs), PORT, folder)  # a shared machine changes its pace
        bound = {part: (before[part] + after[part]) / 2 for part in before}
        bound["images_per_s"] = (os.cpu_count() or 1) / sum(bound.values())
        rate = images / stage["seconds"]  # of the stage: start-up counts only where a peer's does
        result |= {
            "limit": bound,
            "ours": {**own, "stage_s": stage["seconds"]},
            "images_per_s": rate,
            "of_limit": rate / bound["images_per_s"],
        }
        result["cpu_s_per_1000"] = own["cpu_s"] / images * 1000
        for checked in CHECKED[args.checked] if args.peer else ():
            runs = {n: peer(args.peer, url_list, folder, n, checked=checked) for n in args.threads}
            best = min(runs, key=lambda n: runs[n]["wall_s"])
            name = "peer_checked" if checked else "peer_unchecked"
            result |= {name: {"threads": best, **runs[best]}, f"times_{name}": runs[best]["wall_s"] / own["wall_s"]}
    return result


def broken(args: argparse.Namespace, folder: Path) -> dict[str, object]:
    options = ["--port-base", str(PORT), "--seed", str(args.seed)]
    url_list, truth_file = folder / "urls.txt", folder / "truth.json"
    subprocess.run([sys.executable, args.simulator, "list", *options, "--out", str(url_list)], check=True)
    subprocess.run([sys.executable, args.simulator, "truth", *options, "--out", str(truth_file)], check=True)
    truth = json.loads(truth_file.read_text())["urls"]
    (folder / "wnids.txt").write_text("\n".join(sorted({url["wnid"] for url in truth})) + "\n")
    with serving(args.simulator, "serve", *options):
        own = ours(url_list, folder / "wnids.txt", folder, *args.set)
        seen = json.load(urllib.request.urlopen(f"http://127.0.0.1:{PORT}/__stats", timeout=10))["requests"]
        needed, wanted = oracle(truth)
        right = kept(folder / "ours") == wanted
        result: dict[str, object] = {"ours": own, "requests": seen, "oracle_requests": needed, "exact": right}
        result["requests_ratio"] = seen / needed
        if args.peer:
            runs = {n: peer(args.peer, url_list, folder, n, checked=True) for n in args.threads}
            best = min(runs, key=lambda n: runs[n]["wall_s"])
            result |= {"peer": {"threads": best, **runs[best]}, "times_peer": runs[best]["wall_s"] / own["wall_s"]}
    return result


def oracle(truth: Sequence[dict[str, object]], seed: int = 0) -> tuple[int, set[str]]:
    """Requests that the server sees from a reader in draw order, one by one, and the images that are to be kept."""
    requests, wanted = 0, set[str]()
    by_class: dict[str, list[dict[str, object]]] = {}
    for url in truth:
        by_class.setdefault(str(url["wnid"]), []).append(url)
    for wnid, urls in by_class.items():
        good = 0
        for url in sorted(urls, key=lambda url: draw(seed, wnid, url["id"])):
            if good == NK:
                break
            requests += url["fate"] != "refused"
            if url["good"]:
                good += 1
                wanted.add(str(url["id"]))
    return requests, wanted


def kept(dataset: Path) -> set[str]:
    return {Path(line.rpartition(" ")[0]).stem for line in (dataset / "eval.txt").read_text().splitlines()}


PARTS = {"clean": clean, "memory": memory, "broken": broken}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("web", choices=list(PARTS))
    parser.add_argument("--photographs", help="folder of JPEGs")
    parser.add_argument("--simulator", help="chaosweb.py")
    parser.add_argument("--peer", help="python with img2dataset")
    parser.add_argument("--threads", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", nargs="*", default=[], help="settings of our own side")
    parser.add_argument("--checked", choices=["yes", "no", "both"], default="both", help="what the peer stores")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = PARTS[args.web](args, Path(folder))
    print(json.dumps(result, indent=1, default=lambda value: round(value, 4)))


if __name__ == "__main__":
    main()
