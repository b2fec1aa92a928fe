"""Bytes to pixels to crops, on the CPU or the GPU, and the cache of embeddings on disk.

Other packages import:

- factory: make_preprocessor, open_loader
- gpu: own_stream
- row_cache: Kept
- transforms: Preprocessor, RGBArray, TimmPreprocessor, UNREADABLE, UndecodableError, normaliser
- types: Collate, EmbeddingBatch, Floats, Forward, Preprocess, SkippedImage, fault
"""
