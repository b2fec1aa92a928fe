"""Names of the files in a data set folder."""

from __future__ import annotations

TERMS = "TERMS.txt"


FILE = "ledger.sqlite"


MANIFEST = "manifest.parquet"


IMAGES, SPARE = "images", "spare"


LOCK = ".lock"  # of a data set folder
