"""Numbers behind the page: projections, similarity of classes, outliers.

Other packages import:

- analyse: Analysis, ClassMap, analyse, image_paths
- outliers
"""
