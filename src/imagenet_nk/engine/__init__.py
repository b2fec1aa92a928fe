"""Where work runs: this process, processes of this machine, or a Ray cluster.

Other packages import:

- contract: Channel, Engine, Task
- cpu_count: cores
- local: Local
"""
