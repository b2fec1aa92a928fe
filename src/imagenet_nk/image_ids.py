"""Image ids that are safe as file names, and distinct within a class."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from itertools import count

WNID = re.compile(r"n[0-9]{8}\Z")
_LONGEST = 180  # characters of an id, before the WNID
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def image_id(wnid: str, name: str) -> str:
    """A file's stem as an image id: safe as a file name, and starting with the WNID so that it is unique in its source.

    Characters outside [A-Za-z0-9._-] become their UTF-8 bytes as =XX, so two names never meet in one id; the end of a
    long one becomes its digest.
    """
    safe = _UNSAFE.sub(
        lambda match: "".join(f"={byte:02X}" for byte in match[0].encode(errors="surrogateescape")), name
    )
    if len(safe) > _LONGEST:  # file systems end at 255 bytes
        cut = re.sub(r"=.?\Z", "", safe[: _LONGEST - 33])
        safe = f"{cut}.{blake2b(safe.encode(), digest_size=16).hexdigest()}"
    return safe if safe.startswith(wnid) else f"{wnid}_{safe}"


def distinct_ids(wnid: str, names: Iterable[str]) -> list[str]:
    """An image id for each file name of a class, in their order; the second of one stem gets `=2`, and so on.

    No name's own id ends so: there `=` is followed by two digits.
    """
    ids: dict[str, None] = {}
    for name in names:
        file = name.rpartition("/")[2]
        plain_id = image_id(wnid, file.rpartition(".")[0] or file)  # pathlib's stem takes nine times as long
        ids[plain_id if plain_id not in ids else next(i for n in count(2) if (i := f"{plain_id}={n}") not in ids)] = (
            None
        )
    return list(ids)
