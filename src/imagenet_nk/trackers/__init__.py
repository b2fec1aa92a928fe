"""Where figures of a run go besides its output folder: nowhere, TensorBoard or MLflow."""
