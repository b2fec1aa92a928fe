"""Stage `export`: hand a collected data set over to other tools, each in the form that the tool reads.

Other packages import:

- contract: Exporter
- stage: export
"""
