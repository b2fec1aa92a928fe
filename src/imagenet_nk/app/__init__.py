"""The process: command line, pipeline of stages, exit codes, error lines and plan."""
