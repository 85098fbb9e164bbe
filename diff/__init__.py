"""What is different? Snapshots, comparison and plans as values; `plan(desired, snapshot)` is the heart of the project.

In: a `Rendering` and a `Snapshot`. Out: a `Plan` (empty means in sync). Never: IO, clocks, randomness, or a write to
anything.
"""
