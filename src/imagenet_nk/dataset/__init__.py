"""The data set folder: ledger, image store, manifest, class table.

Other packages import:

- class_table: read_csv, write_csv
- dataset: DataSet, fingerprint
- folder_layout: IMAGES, LEDGER, LOCK, MANIFEST, SPARE
- folder_state: Target
- image_store: ImageStore, RESERVE
- ledger: Attempt, AttemptSink, CandidateKey, KEPT, UNREACHED, signed
- manifest: MANIFEST_COLUMNS, apply_split, iter_columns, read_manifest
- object_store: check_writable, open_store
- records: CandidateRecord, content_hash
- summary: Summary, TableContext
- table_writer: RECHECK
"""
