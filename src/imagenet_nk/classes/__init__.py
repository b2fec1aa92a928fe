"""The classes of a run: WNID, label and name, and the label files that people have.

Other packages import:

- index_dictionary: NameLookup
- label_map: LabelMap
- loading: clsloc_wnids, load
- orders: LabelOrder, label_orders
- table: read_set, read_table
- validation_labels: packaged_classes
"""
