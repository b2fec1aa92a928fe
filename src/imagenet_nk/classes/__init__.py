"""The classes of a run: WNID, label and name, and the label files that people have.

Other packages import:

- label_map: LabelMap
- loading: clsloc_wnids, load
- orders: LabelOrder, label_orders
- table: read_set
"""
