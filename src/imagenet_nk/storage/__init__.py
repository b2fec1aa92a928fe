"""Local files and files behind fsspec: atomic writes, locations, the lock of a run.

Other packages import:

- files: atomic_write, full_name, io_errors, is_file, is_remote, local_dir_for, open_regular, read_regular,
  require_regular, resolve, sha256, stat_many, write_bytes, write_text
- fsspec_store
- locators: path_to_text, text_to_path
- naming: PART, Status, temp_path
- run_lock: lock_owner, run_lock
"""
