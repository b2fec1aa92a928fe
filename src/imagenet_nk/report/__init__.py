"""The page to look at: facts of a run, gathered, judged and drawn into one folder that opens from disk."""
