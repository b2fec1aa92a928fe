"""Embedding over an engine: shards of a list, and workers that build the same model.

Other packages import:

- select: select_executor
"""
