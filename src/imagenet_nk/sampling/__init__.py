"""Which candidates of a class come first: random draw order, lists of names, and the split of the lists.

Other packages import:

- draw_order: Sampling, Split, draw
- listed_order: ListedOrder
"""
