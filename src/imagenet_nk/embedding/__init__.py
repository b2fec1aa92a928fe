"""From a list of images to their embeddings: loader, executor, cache, parity check.

Other packages import:

- dataset: Classes, EmbeddingConfig, Entries, LabeledImages, check, check_files, listed, none_embedded
- embedder: Embedder, Progress
- executor: Executor
- loader
- messages: BackboneSpec, Shard, ShardEmbeddings, cut
- multi_backbone: embed_together, side_by_side
"""
