"""The data set folder: ledger, image store, manifest, class table.

Other packages import:

- class_table
- dataset: DataSet, RECHECK, fingerprint
- files: FILE, IMAGES, LOCK, MANIFEST, SPARE
- image_store: RESERVE, Store
- ledger: Attempt, AttemptSink, KEPT, UNREACHED, signed, values
- ledger_writer: Values
- manifest: read_manifest
- object_store: open_store, try_out
- records: CandidateRecord, content_hash
- summary: Summary
- table_rows: TableContext, Target
"""
