from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.config import HttpConfig
from imagenet_nk.errors import SourceError
from imagenet_nk.reasons import Rejected
from imagenet_nk.sampling.draw_order import RandomOrder
from imagenet_nk.sources.contract import FetchedImage, SourceContext
from imagenet_nk.sources.hub.source import Hub
from imagenet_nk.sources.manifest import table
from imagenet_nk.sources.manifest.source import Manifest
from sources import shards
from sources.contract import Listed, SourceContract, drive
from sources.hub_server import hub
from sources.small_tars import tar_bytes
from sources.web import Answer, Web, web

TENCH, GOLDFISH = "n01440764", "n01443537"

Row = dict[str, Any]


@pytest.fixture
def site() -> Iterator[Web]:
    with web() as server:
        yield server


def row(image_id: str, url: str, data: bytes, wnid: str = TENCH) -> Row:
    """A row with all columns of a manifest."""
    rest = {"label": 0, "path": f"images/{wnid}/{image_id}.jpg", "split": "eval", "source": "urls", "final_url": url}
    digest = hashlib.sha256(data).hexdigest()
    return {"image_id": image_id, "wnid": wnid, "url": url, "sha256": digest, "bytes": len(data), **rest}


def written(path: Path, rows: Sequence[Row]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
        return path
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def served(site: Web) -> list[Row]:
    """Ten images of two classes, on the web."""
    rows = []
    for wnid in (TENCH, GOLDFISH):
        for n in (3, 1, 4, 15, 9, 2, 6, 5, 35, 8):
            data = f"{wnid}_{n} ".encode() * 9
            rows.append(row(f"{wnid}_{n}", site.put(f"/{wnid}/{n}.jpg", data), data, wnid))
    return rows


def opened(path: Path | str, wnids: Sequence[str] = (TENCH, GOLDFISH), *, replace: bool = False) -> Manifest:
    source = Manifest(str(path), replace=replace)
    source.open(wnids, SourceContext(Path(path).parent / "index", HttpConfig(allow_private=True), RandomOrder(0)))
    return source


def results(source: Manifest, wnid: str = TENCH) -> list[str | bytes]:
    """The bytes, or the reason, of each candidate."""
    driven = [drive(source, candidate) for candidate in source.candidates(wnid)]
    return [result.data if isinstance(result, FetchedImage) else result.reason for result in driven]


class TestManifest(SourceContract):
    ids_known = False  # in the order of the manifest, not of the sampling

    @pytest.fixture(params=["manifest.parquet", "manifest.csv"])
    def make(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Manifest]]:
        with web() as server:
            path = written(tmp_path / request.param, served(server))
            yield lambda: Manifest(str(path))

    @pytest.fixture
    def wnids(self) -> list[str]:
        return [TENCH, GOLDFISH]

    def test_same_seed_same_images_other_seed_other_order(self, make, make_shuffled, wnids, site) -> None:
        orders = []
        for seed in (1, 2):
            source = make()
            source.open(wnids, site(seed=seed))
            orders.append([candidate.key for candidate in source.candidates(TENCH)])
        assert orders[0] == orders[1] == [f"{TENCH}_{n}" for n in (3, 1, 4, 15, 9, 2, 6, 5, 35, 8)]


def test_drifted_and_missing_images_have_different_reasons(tmp_path: Path, site: Web) -> None:
    rows = served(site)
    site.put(f"/{TENCH}/1.jpg", b"another picture")
    del site.pages[f"/{TENCH}/4.jpg"]
    site.put(f"/{TENCH}/15.jpg", lambda *_: Answer(503))
    path = written(tmp_path / "manifest.csv", rows[:5])
    assert results(opened(path, [TENCH])) == [
        f"{TENCH}_3 ".encode() * 9,
        "drifted",
        "http_404",
        "http_503",
        f"{TENCH}_9 ".encode() * 9,
    ]
    assert results(opened(path, [TENCH], replace=True))[:2] == [f"{TENCH}_3 ".encode() * 9, b"another picture"]


def test_drifted_has_both_digests_in_its_detail(tmp_path: Path, site: Web) -> None:
    path = written(tmp_path / "m.csv", [row(f"{TENCH}_1", site.put("/1.jpg", b"new"), b"old")])
    source = opened(path)
    new, old = (hashlib.sha256(data).hexdigest()[:16] for data in (b"new", b"old"))
    assert drive(source, next(source.candidates(TENCH))) == Rejected(
        "drifted", detail=f"sha256 is {new} now, was {old}"
    )


def test_local_files_and_tar_members_are_read(tmp_path: Path, site: Web) -> None:
    tar = tar_bytes({"a.jpg": b"in a tar"})
    at = tar.index(b"in a tar")
    (tmp_path / "a b.tar").write_bytes(tar)
    (tmp_path / "plain.jpg").write_bytes(b"plain")
    part = f"#bytes={at}-{at + 7}"
    places = [
        (f"{tmp_path}/plain.jpg", b"plain"),
        ((tmp_path / "plain.jpg").as_uri(), b"plain"),
        (f"{tmp_path}/a b.tar{part}", b"in a tar"),
        (site.put("/a.tar", tar) + part, b"in a tar"),
    ]
    rows = [row(f"{TENCH}_{n}", place, data) for n, (place, data) in enumerate(places)]
    assert results(opened(written(tmp_path / "m.csv", rows))) == [data for _, data in places]
    assert site.asked[-1].sent == 8


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "missing"),
        ("/another/machine/x.jpg", "elsewhere"),
        ("/another/machine/x.tar#bytes=0-5", "elsewhere"),
        ("images/x.jpg", "no_address"),
        ("ftp://host/x.jpg", "no_address"),
        ("javascript://x", "no_address"),
        ("https://hub/datasets/a/resolve/c/x.parquet#row=3", "no_address"),
        ("https://host/ILSVRC2012_img_train.tar", "no_address"),
        ("https://host/ILSVRC2012_img_train.tar#n01440764_1.JPEG", "no_address"),
        ("/dev/zero", "unreadable"),
        ("/", "unreadable"),
        ("/a\0b", "unreadable"),
    ],
)
def test_unfetchable_url_is_rejected_with_its_reason(tmp_path: Path, url: str, reason: str) -> None:
    path = tmp_path / "m.parquet"
    assert results(opened(written(path, [row(f"{TENCH}_1", url, b"x")]))) == [reason]


def test_server_without_ranges_is_rejected(tmp_path: Path, site: Web) -> None:
    url = site.put("/a.tar", lambda *_: Answer(200, b"12345678"))
    rows = [row(f"{TENCH}_1", f"{url}#bytes=0-7", b"12345678"), row(f"{TENCH}_2", f"{url}#bytes=1-5", b"23456")]
    assert results(opened(written(tmp_path / "m.csv", rows))) == ["no_range", "no_range"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(200, b"<html>", {"Content-Type": "text/html"}), "login_page"),
        (Answer(206, b"1234", {"Content-Range": "bytes 0-3/4"}), "wrong_range"),
        (Answer(503), "http_503"),
    ],
)
def test_temporary_server_error_is_transient(tmp_path: Path, site: Web, answer: Answer, reason: str) -> None:
    rows = [row(f"{TENCH}_1", site.put("/a.tar", lambda *_: answer) + "#bytes=0-7", b"12345678")]
    source = opened(written(tmp_path / "m.csv", rows))
    result = drive(source, next(source.candidates(TENCH)))
    assert isinstance(result, Rejected)
    assert (result.reason, result.transient) == (reason, True)


def test_archive_member_is_read_at_its_final_url(tmp_path: Path, site: Web) -> None:
    url = site.put("/train.tar", b"0123456789")
    image = {**row(f"{TENCH}_1", url, b"345"), "final_url": f"{url}#bytes=3-5"}
    elsewhere = {**row(f"{TENCH}_2", url, b"345"), "final_url": "http://127.0.0.1:9/#bytes=3-5"}
    for name in ("m.csv", "m.parquet"):
        assert results(opened(written(tmp_path / name, [image, elsewhere]))) == [b"345", "no_address"]


def test_unfetchable_images_are_logged_on_open(tmp_path: Path, site: Web, caplog: pytest.LogCaptureFixture) -> None:
    rows = [*served(site), row(f"{TENCH}_77", "images/x.jpg", b"x")]
    opened(written(tmp_path / "m.csv", rows))
    assert "1 of the images cannot be fetched again, such as: a relative path says nothing" in caplog.text


class TestDataSets:
    """What source=hub gave is fetched again by row or by offset."""

    FILES: ClassVar = {
        "data/train-0.parquet": shards.parquet(shards.pictures(4)),
        "train-1.tar": shards.webdataset(shards.pictures(4)),
    }

    def again(self, tmp_path: Path, source: Hub) -> list[str | bytes]:
        source.open([TENCH], SourceContext(tmp_path / "hub", HttpConfig(), RandomOrder(0)))
        candidates = list(source.candidates(TENCH))
        found = [drive(source, candidate) for candidate in candidates]
        rows = [
            row(c.key, c.url, f.data) for c, f in zip(candidates, found, strict=True) if isinstance(f, FetchedImage)
        ]
        assert len(rows) == 4
        assert results(opened(written(tmp_path / "m.csv", rows), [TENCH])) == [f.data for f in found]  # type: ignore[union-attr]
        return rows  # type: ignore[return-value]

    @pytest.mark.parametrize("name", FILES)
    def test_rows_of_local_data_sets_are_read(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "set" / "data").mkdir(parents=True)
        (tmp_path / "set" / name).write_bytes(self.FILES[name])
        self.again(tmp_path, Hub(str(tmp_path / "set")))

    @pytest.mark.parametrize("name", FILES)
    def test_rows_of_the_hub_are_read_only_from_its_endpoint(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        with hub("some/set", {name: self.FILES[name]}) as server:
            server.gated, server.token = True, "hf_secret"
            monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
            monkeypatch.setenv("HF_TOKEN", "hf_secret")
            rows = self.again(tmp_path, Hub("some/set"))
            server.web.asked.clear()
            monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")  # a token is for that one alone
            refused = results(opened(written(tmp_path / "n.csv", rows), [TENCH]))  # type: ignore[arg-type]
            assert set(refused) == {"no_address" if name.endswith("parquet") else "http_401"}

    def test_missing_row_is_unreadable(self, tmp_path: Path) -> None:
        (tmp_path / "a.parquet").write_bytes(self.FILES["data/train-0.parquet"])
        (tmp_path / "b.parquet").write_bytes(b"PAR1")
        rows = [
            row(f"{TENCH}_{n}", f"{tmp_path}/{p}.parquet#row={n}", b"") for p, n in (("a", 900), ("b", 1), ("c", 2))
        ]
        assert results(opened(written(tmp_path / "m.csv", rows))) == ["unreadable"] * 3


def test_manifest_at_a_url_is_downloaded(tmp_path: Path, site: Web) -> None:
    path = written(tmp_path / "manifest.parquet", served(site))
    url = site.put("/subset/manifest.parquet", path.read_bytes())
    source = Manifest(url)
    source.open([TENCH], SourceContext(tmp_path / "index", HttpConfig(allow_private=True), RandomOrder(0)))
    assert len(list(source.candidates(TENCH))) == 10
    assert source.identity == opened(path, [TENCH]).identity


def test_identity_is_the_content(tmp_path: Path, site: Web) -> None:
    rows = served(site)
    identity = opened(written(tmp_path / "a.parquet", rows)).identity
    assert identity == opened(written(tmp_path / "b.csv", rows)).identity
    assert identity != opened(written(tmp_path / "c.csv", rows[::-1])).identity
    assert identity != opened(tmp_path / "b.csv", replace=True).identity


def test_listed_images_that_the_manifest_lacks_are_missing(tmp_path: Path, site: Web) -> None:
    source = Manifest(str(written(tmp_path / "m.csv", served(site))))
    wanted = Listed({TENCH: [f"{TENCH}_4", f"{TENCH}_99"]})
    source.open([TENCH], SourceContext(tmp_path / "index", HttpConfig(), wanted))
    assert results(source) == [f"{TENCH}_4 ".encode() * 9, "missing"]


GOOD = row(f"{TENCH}_1", "http://127.0.0.1/1.jpg", b"x")


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"wnid": "n0144"}, "row 2: wnid 'n0144' is no WNID"),
        ({"image_id": "../../etc/passwd"}, "row 2: image_id '../../etc/passwd' is no image id of n01440764"),
        ({"image_id": f"{TENCH}/../x"}, "is no image id"),
        ({"image_id": f"{GOLDFISH}_1"}, "is no image id of n01440764"),
        ({"image_id": TENCH + "9" * 200}, "is no image id"),
        ({"image_id": f"{TENCH}_1"}, "row 2: image_id n01440764_1 is there twice"),
        ({"sha256": "abc"}, "row 2: sha256 'abc' is no SHA-256 in hex"),
        ({"sha256": None}, "row 2: sha256 '' is no SHA-256 in hex"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_bad_row_is_one_line_with_its_number(tmp_path: Path, form: str, changes: Row, wanted: str) -> None:
    path = written(tmp_path / f"m.{form}", [GOOD, {**GOOD, "image_id": f"{TENCH}_2", **changes}])
    with pytest.raises(SourceError, match=wanted) as error:
        opened(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_missing_columns_are_named(tmp_path: Path, form: str) -> None:
    path = written(tmp_path / f"m.{form}", [{"image_id": "a", "wnid": TENCH, "label": 3}])
    with pytest.raises(SourceError, match="has no column url, sha256; a manifest has image_id, wnid, url, sha256"):
        opened(path)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "has no column image_id, wnid, url, sha256"),
        (b"PAR1 cut", "is a broken parquet file"),
        (b"image_id,wnid,url,sha256\n\xff,a,b,c\n", r"is no csv in UTF-8 \(line"),
        (b"image_id,wnid,url,sha256\n" + b"x" * 200_000, r"is no csv in UTF-8 \(line 2\): field larger"),
        (b"image_id,wnid,url,sha256\nn01440764_1\n", "row 1: wnid '' is no WNID"),
        (b"image_id,wnid,url,sha256\n", "has no image of the 2 wanted classes"),
        (
            "image_id,wnid,url,sha256\n".encode("utf-16"),
            "is UTF-16 text; name a manifest.parquet, or a manifest.csv in UTF-8",
        ),
        ("image_id,wnid,url,sha256\n".encode("utf-16-le"), "is UTF-16 text; name a manifest"),
        (b"PK\3\4 and so on", "is a zip archive; name a manifest.parquet, or a manifest.csv in UTF-8"),
        (b"<!doctype html>", "is a web page; name a manifest"),
    ],
)
def test_file_that_is_no_manifest_is_one_line(tmp_path: Path, content: bytes, wanted: str) -> None:
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(SourceError, match=wanted) as error:
        opened(tmp_path / "m")
    assert "\n" not in str(error.value)


def test_manifest_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"source\.path=.*/none\.csv cannot be read: No such file"):
        opened(tmp_path / "none.csv")


def test_truncated_parquet_file_is_one_line(tmp_path: Path, site: Web) -> None:
    path = written(tmp_path / "m.parquet", served(site))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SourceError, match=r"m\.parquet is a broken parquet file"):
        opened(path)


@given(st.binary(max_size=300), st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=4))
def test_any_bytes_are_images_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, flips: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    files = [raw, b"image_id,wnid,url,sha256\n" + raw]
    for form in ("parquet", "csv"):
        data = bytearray(written(folder / f"fuzz.{form}", [GOOD, {**GOOD, "image_id": f"{TENCH}_2"}]).read_bytes())
        for at, byte in flips:
            data[at % len(data)] = byte
        files.append(bytes(data))
    for content in files:
        (folder / "fuzz").write_bytes(content)
        try:
            images = table.read_images(folder / "fuzz")
        except SourceError as error:
            assert "\n" not in str(error)  # noqa: PT017
            continue
        for image in images:
            assert image.image_id.startswith(image.wnid)
            assert "/" not in image.image_id
            assert len(image.sha256) == 64
