"""The lists of a folder while another run works on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagenet_nk import listing, lists
from imagenet_nk.errors import DatasetError
from imagenet_nk.lists import Entry


def given(folder: Path, count: int) -> None:
    """What a run with nk=count leaves: so many images, and a list of them."""
    for number in range(5):
        path = folder / f"{number}.jpg"
        path.touch() if number < count else path.unlink(missing_ok=True)
    lists.write_list(folder / "eval.txt", [Entry(f"{number}.jpg", 0) for number in range(count)])


def test_a_folder_that_lost_images_of_the_list_is_noticed(tmp_path: Path) -> None:
    given(tmp_path, 5)
    listed = listing.read(tmp_path)
    given(tmp_path, 2)
    with pytest.raises(DatasetError, match=r"another run has changed .*: 3 images .*2\.jpg\); .* dataset\.dir=ANOTHER"):
        listing.check_still_there(tmp_path, listed)


@pytest.mark.parametrize("now", [3, 5])
def test_one_that_is_as_it_was_or_has_more_is_not(tmp_path: Path, now: int) -> None:
    given(tmp_path, 3)
    listed = listing.read(tmp_path)
    given(tmp_path, now)
    listing.check_still_there(tmp_path, listed)
    (tmp_path / "1.jpg").unlink()
    if now == 3:
        listing.check_still_there(tmp_path, listed)  # its list is the same: a fault of the image, named by the stage
