"""Experiment trackers for the figures of a run: none, TensorBoard, MLflow.

Other packages import:

- base: RunRecord, Tracker
"""
