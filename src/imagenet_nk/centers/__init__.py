"""Stage `centers`: class means, their file, and a classifier made of them.

Other packages import:

- accumulate: first_reading
- file: Centers, NAME, load_centers
- stage: BackboneRun, build, compute_all
"""
