"""Where work runs: this process, processes of this machine, or a cluster."""
