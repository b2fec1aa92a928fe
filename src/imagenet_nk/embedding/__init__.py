"""From a list of images to their embeddings: plan, executor, cache, parity check.

Other packages import:

- embed: Progress, embed_images
- embeddings: Embeddings
- executor: Executor, LocalExecutor
- labeled_images: Classes, Entries, LabeledImages, check, check_files, describe_empty
- messages: BackboneSpec, Shard, ShardEmbeddings, split_shards
- plan: EmbeddingPlan, make_plan, resolve_plan
- run: BackboneRun, EmbeddingConfig, make_runs
"""
