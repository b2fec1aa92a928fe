"""The process: command line, job setup, stages, exit codes, error lines and plan."""
