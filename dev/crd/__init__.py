"""The generator of `crds/`: an API server's core types and our own fields become the CRD and what the models read.

`python -m dev.crd` writes `crds/orchestcluster.yaml` and `crds/core_types.json` from the committed `core.json`;
`kubectl get --raw /openapi/v3/api/v1 | python -m dev.crd -` first refreshes `core.json` from a running server.
"""
