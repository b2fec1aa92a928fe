"""Classifiers over embeddings in memory: kNN, ridge regression, few-shot tables."""
