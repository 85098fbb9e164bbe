"""A real Kubernetes on this machine: API server, controllers and scheduler, with simulated nodes.

Start reading at `launcher.py`; `binaries.py` builds the programs once, `supervisor.py` is the process that owns a
running cluster.
"""
