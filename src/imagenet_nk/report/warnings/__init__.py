"""What the report warns of: checks of a run, and of its labels.

Other packages import:

- checks: ReportInputs
- warning: ReportWarning
"""
