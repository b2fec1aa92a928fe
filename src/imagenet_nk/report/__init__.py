"""Stage `report`: one folder with a page that opens from disk, and the comparison of a sweep.

Other packages import:

- build
- find_run
- host_stats: FetchStats
- metrics_table: best_distance, value
- run_data: RunData, read_json, read_yaml
- sweep
- thumbnails: ContactStrip, SIDE
"""
