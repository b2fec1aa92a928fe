"""From a list of images to their embeddings: plan, executor, cache, parity check.

Other packages import:

- embeddings: Embeddings, Progress, embed_images
- labeled_images: Classes, Entries, LabeledImages, check, check_files, describe_empty
- run: BackboneRun, EmbeddingConfig, make_runs

`distributed` imports executor, messages and plan.
"""
