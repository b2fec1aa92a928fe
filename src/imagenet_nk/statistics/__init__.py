"""Statistics of embeddings in passes over batches: mean, spread, medoid, covariance, prototypes.

Other packages import:

- iterative
- streaming: Mean, Medoid, NormalizedMean, SharedCovariance, Spread, l2_normalize
"""
