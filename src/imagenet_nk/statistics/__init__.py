"""Statistics of embeddings in passes over batches: mean, spread, medoid.

Other packages import:

- streaming: Mean, Medoid, NormalizedMean, Spread, l2_normalize
"""
