"""Where candidates come from: one file a source, one contract (`base.Source`)."""
