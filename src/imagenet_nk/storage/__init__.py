"""Files here or behind fsspec: atomic writes, locations, the lock of a run.

Other packages import:

- files
- fsspec_store
- locators: path_to_text, text_to_path
- naming: PART, Status, temp_path
- run_lock: holder, run_lock
"""
