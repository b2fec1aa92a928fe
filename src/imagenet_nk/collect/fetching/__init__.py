"""From a candidate to its inspected bytes: requests, retries, inspection, ledger rows.

Other packages import:

- candidate_read: CandidateRead, Records
- candidate_reader: Reader
- inspector: ImageInfo, Inspector, dhash
- ledger_rows
"""
