"""Classifiers over embeddings in memory: kNN, ridge regression, few-shot tables.

Other packages import:

- in_memory: heads_and_shots, ood_scores
"""
