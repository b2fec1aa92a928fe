"""source=full: a copy of ImageNet on disk, in folders or tars.

Other packages import:

- folders: MAX_BYTES, read_file
- tables: find_validation_truth, read_solution
- tars: TarEntry, entries, read_range
"""
