"""What a developer runs from a checkout: the set-up, the local cluster, the story. Nothing here is ever installed."""
