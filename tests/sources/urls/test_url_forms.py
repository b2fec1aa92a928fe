from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.sources.urls.url_forms import percent_encode, url_variants


@given(st.binary(max_size=60))
def test_percent_encoded_url_is_printable_ascii_and_stable(raw: bytes) -> None:
    made = percent_encode(b"http://h/" + raw)
    assert made is not None
    assert re.fullmatch(r"[!-~]+", made)
    assert percent_encode(made.encode()) == made


@given(st.text(max_size=60))
def test_url_variants_never_fail(url: str) -> None:
    got = list(url_variants(url, ["{url}", "{https}", "{flickr}", "https://w/2011id_/{url}"]))
    assert got[0] == url
    assert len(set(got)) == len(got)


def test_url_variants_of_an_old_flickr_url() -> None:
    url = "http://farm4.static.flickr.com/3188/2611_2f.jpg"
    assert list(url_variants(url, ["{url}", "{https}", "{flickr}", "https://w/2011id_/{url}"])) == [
        url,
        "https://farm4.static.flickr.com/3188/2611_2f.jpg",
        "https://live.staticflickr.com/3188/2611_2f.jpg",
        f"https://w/2011id_/{url}",
    ]
