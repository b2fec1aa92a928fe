"""Bytes to pixels to crops, on the CPU or the GPU, and the cache of embeddings on disk.

Other packages import:

- cached_embeddings: CachedEmbeddings, find_cached
- factory: make_preprocessor, open_loader
- gpu: own_stream
- row_cache: MappedRows
- transforms: Preprocessor, RGBArray, TimmPreprocessor, UNREADABLE, UndecodableError, normaliser
- types: Collate, EmbeddingBatch, Floats, Forward, Preprocess, SkippedImage, describe_error
"""
