"""What was asked? The lowest layer: values that every other folder speaks, and the parser that makes them from text.

In: (name, text) pairs. Out: frozen models of the `OrchestCluster`, object keys, manifests, image references, decisions.
Never: IO, clocks, randomness, or knowledge of how a cluster is observed, rendered or changed.
"""
