"""Stage `centers`: class means, their file, and a classifier made of them.

Other packages import:

- file: Centers, NAME, load_centers
- stage: BackboneCenters, compute_all, save
"""
