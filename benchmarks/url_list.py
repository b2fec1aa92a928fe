"""The pass over a list of the size and form of imagenet_fall11_urls.tgz, as a ratio to `gzip -dc > /dev/null`.

    python benchmarks/url_list.py [--lines 14197122] [--shuffled] [--keep FOLDER]

Writes a synthetic list into a temporary folder (0.4 GB; about a minute), then times, in this order: gzip, the pass (a
process of its own, start-up included), gzip again; and opening the kept index for 1000 classes.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

SYNSETS, WANTED, WANTED_LINES = 21_841, 1000, 1_290_127
FALL11_LINES = 14_197_122
COMMON = "www.zoo.com/in-many-classes/{number}.jpg"


def wnids() -> tuple[list[str], list[str]]:
    """All synsets, sorted, and those of them that are wanted."""
    rng = random.Random(0)
    all_ = sorted(f"n{number:08d}" for number in rng.sample(range(4475, 15_300_000), SYNSETS))
    return all_, sorted(rng.sample(all_, WANTED))


def pieces(lines: int) -> Iterator[bytes]:
    """The list, class by class: 64 % Flickr, serials rising, addresses of the usual lengths (80 bytes a line)."""
    rng = random.Random(1)
    all_, wanted = wnids()
    share = lines / FALL11_LINES
    of_wanted = WANTED_LINES * share / WANTED
    of_others = (lines - WANTED_LINES * share) / (SYNSETS - WANTED)
    hosts = [
        f"www.{rng.choice(['photo', 'zoo', 'bird', 'garden', 'blog'])}{i}.{d}"
        for i in range(4000)
        for d in ("com", "org")
    ]
    chosen = set(wanted)
    for wnid in all_:
        count = max(1, round((of_wanted if wnid in chosen else of_others) * rng.uniform(0.2, 1.8)))
        noise = rng.randbytes(16 * count).hex()
        serial, before = 0, "www.zoo.com/first.jpg"
        rows = []
        for i in range(count):
            serial += 1 + int(noise[32 * i], 16)
            word = noise[32 * i + 1 : 32 * i + 31]
            if word[0] < "a":  # 10 of 16
                number = int(word[5:14], 16)
                url = f"farm{word[1]}.static.flickr.com/{number % 4000}/{number}_{word[14:24]}.jpg"
            else:
                url = f"{hosts[int(word[:5], 16) % 8000]}/images/{word[5:9]}/{word[9:17]}-large/img_{word[17:26]}.jpg"
            odd = noise[32 * i + 31]
            if odd == "0" and word[26] < "4":  # 1.5 % of the lines: bytes beyond ASCII, blanks, ports, the same again
                url = (f"{url[:-4]} \xe9.jpg", url.replace("/", ":80/", 1), COMMON.format(number=i % 3), before)[
                    ord(word[27]) % 4
                ]
            before = url
            rows.append(f"{wnid}_{serial}\thttp://{url}\n")
        yield "".join(rows).encode("latin-1")


def write(to: Path, lines: int, shuffled: bool) -> int:
    """A .tgz with fall11_urls.txt in it; returns its unpacked bytes."""
    text = to.with_suffix(".txt")
    with text.open("wb") as file:
        if shuffled:
            rows = b"".join(pieces(lines)).splitlines(keepends=True)
            random.Random(2).shuffle(rows)
            file.writelines(rows)
        else:
            file.writelines(pieces(lines))
    size = text.stat().st_size
    info = tarfile.TarInfo("fall11_urls.txt")
    info.size = size
    with to.open("wb") as out, subprocess.Popen(["gzip", "-c"], stdin=subprocess.PIPE, stdout=out) as gzip:
        stdin = gzip.stdin
        assert stdin is not None
        stdin.write(info.tobuf())
        with text.open("rb") as file:
            while piece := file.read(1 << 20):
                stdin.write(piece)
        stdin.write(bytes(-size % 512 + 1024))
        stdin.close()
    text.unlink()
    return size


def one_pass(listed: Path, index: Path) -> None:
    """The child: read the list, write the index, say how long it took and how much memory."""
    from imagenet_nk.sources.urls.list_index import ListIndex, build
    from imagenet_nk.sources.urls.list_stream import chunks

    started = time.perf_counter()
    build(chunks(listed), wnids()[1], index, reference=wnids()[1])
    took = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    opened = ListIndex(index)
    rows = sum(len(opened.pairs(wnid)) for wnid in wnids()[1])
    reopened = time.perf_counter() - started
    print(json.dumps({"pass": took, "peak_mib": peak, "open_and_read_all": reopened, "rows": rows, **opened.counts}))


def timed(*command: str) -> tuple[float, str]:
    started = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=False)
    return time.perf_counter() - started, done.stdout.decode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=FALL11_LINES)
    parser.add_argument("--shuffled", action="store_true")
    parser.add_argument("--keep", type=Path, help="a folder for the list, used again when it is there")
    parser.add_argument("--one-pass", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_pass:
        one_pass(*options.one_pass)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        listed = folder / f"urls-{options.lines}{'-shuffled' if options.shuffled else ''}.tgz"
        if not listed.exists():
            folder.mkdir(parents=True, exist_ok=True)
            print(f"wrote {write(listed, options.lines, options.shuffled):,} bytes, packed {listed.stat().st_size:,}")
        unpack = ("sh", "-c", f"gzip -dc '{listed}' > /dev/null")
        before, _ = timed(*unpack)
        took, said = timed(sys.executable, __file__, "--one-pass", str(listed), str(Path(temporary) / "index.arrow"))
        after, _ = timed(*unpack)
    told = json.load(io.StringIO(said))
    gzip = (before + after) / 2
    print(f"gzip -dc {before:.2f} s and {after:.2f} s; the pass {told['pass']:.2f} s, whole process {took:.2f} s")
    print(f"ratio {told['pass'] / gzip:.2f} (whole process {took / gzip:.2f}), peak {told['peak_mib']:.0f} MiB")
    print(f"index: {told['rows']:,} of {told['lines']:,} lines, opened and read in {told['open_and_read_all']:.2f} s")


if __name__ == "__main__":
    main()
