"""One run, killed with SIGKILL at 30 random moments and started again each time, against an undisturbed one.

    python benchmarks/kills.py --simulator chaosweb.py [--kills 30] [--classes 30] [--seed 0]

Asserts that eval.txt is the same and that nothing the ledger held was fetched again. Prints how many good images were
fetched more than once, which those in flight at a kill must be, and how often each kill cost one.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

from collect import ROOT, serving

PORT = 19890
CONCURRENCY = 32
AGAIN = """SELECT count(*) FROM (SELECT 1 FROM attempts WHERE final AND reason = ''
           GROUP BY source, rank, key HAVING count(*) > 1)"""


def server(what: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.load(urllib.request.urlopen(f"http://127.0.0.1:{PORT}/__{what}", timeout=10))
    return answer


def command(folder: Path, name: str) -> list[str]:
    return [
        sys.executable, str(ROOT / "src/imagenet.py"), "nk=10", "source=urls", f"source.list={folder / 'urls.txt'}",
        "source@fallback=none", f"classes.wnids={folder / 'wnids.txt'}", "stages=[collect,lists]",
        "require_complete=false", "http.allow_private=true", f"http.concurrency={CONCURRENCY}",
        f"dataset.dir={folder / name}", f"hydra.run.dir={folder / 'out'}",
    ]  # fmt: skip


def killed_at(folder: Path, requests: int) -> bool:
    """Start the run and kill it once the server has seen so many requests in all; False if it ended before."""
    child = subprocess.Popen(command(folder, "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while child.poll() is None and server("stats")["requests"] < requests:
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    return child.wait() == -signal.SIGKILL


def run(args: argparse.Namespace, folder: Path) -> dict[str, object]:
    options = ["--port-base", str(PORT), "--seed", str(args.seed), "--classes", str(args.classes)]
    for what, name in (("list", "urls.txt"), ("truth", "truth.json")):
        subprocess.run([sys.executable, args.simulator, what, *options, "--out", str(folder / name)], check=True)
    truth = json.loads((folder / "truth.json").read_text())["urls"]
    (folder / "wnids.txt").write_text("\n".join(sorted({url["wnid"] for url in truth})) + "\n")
    with serving(args.simulator, "serve", *options):
        subprocess.run(command(folder, "undisturbed"), check=True, capture_output=True)
        needed = server("stats")["requests"]
        server("reset")
        chosen = random.Random(args.seed)
        moments = sorted(chosen.randrange(1, needed) for _ in range(args.kills))
        kills = sum(killed_at(folder, moment) for moment in moments)
        subprocess.run(command(folder, "killed"), check=True, capture_output=True)
        seen = server("stats?urls=1")
    lists = [(folder / name / "eval.txt").read_bytes() for name in ("undisturbed", "killed")]
    with closing(sqlite3.connect(folder / "killed" / "ledger.sqlite")) as ledger:
        settled_twice = ledger.execute(AGAIN).fetchone()[0]
    good = {url["url"] for url in truth if url["good"]}
    again = sum(count - 1 for url, count in seen["per_url"].items() if url in good and count > 1)
    assert lists[0] == lists[1], "the killed run came to another end"
    assert not settled_twice, "what the ledger held was fetched again"
    return {
        "kills": kills,
        "images": len(lists[0].splitlines()),
        "same_eval_txt": True,
        "settled_twice": settled_twice,
        "requests": {"undisturbed": needed, "killed": seen["requests"]},
        "good_again": again,
        "good_again_a_kill": round(again / max(1, kills), 1),
        "in_flight_at_most": CONCURRENCY,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulator", required=True, help="chaosweb.py")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--classes", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        print(json.dumps(run(args, folder), indent=1))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
