"""Collecting over an engine: a map over shards of classes, then the ordinary run over what they recorded.

Other packages import:

- distributed_run: DistributedRun
- shard: WorkerSpec
"""
