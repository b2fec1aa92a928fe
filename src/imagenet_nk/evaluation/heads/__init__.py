"""Classifiers over embeddings in memory: kNN, ridge regression, few-shot tables.

Other packages import:

- in_memory: class_compactness, heads_and_shots, ood_scores
"""
