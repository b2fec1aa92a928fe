"""Names of the files and folders in a data set folder."""

from __future__ import annotations

LEDGER = "ledger.sqlite"
MANIFEST = "manifest.parquet"
IMAGES = "images"  # <wnid>/<image id>.<extension> of the images that are kept
SPARE = "spare"  # the same of valid images that are not kept now
TERMS = "TERMS.txt"
LOCK = ".lock"
