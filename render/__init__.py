"""What does it mean in objects? `render(cluster, facts)` turns one OrchestCluster into everything that should exist
for it.

In: an `OrchestCluster` and the `ClusterFacts` of where it will live. Out: a `Rendering`: whole manifests ordered by
key, the decision about each image, and notes for people. Never: IO, clocks, randomness, or knowledge of what exists
already.
"""

from render.cluster import render

__all__ = ["render"]
