"""The guard inside a network namespace where every address is a trap, so that no packet can leave it."""
