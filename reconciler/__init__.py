"""Make it so, and keep it so: reads the desired state, observes a cluster, plans, applies, records. Start at
`cycle.py`.

In: Git or files, an API server, a history database. Out: writes, exactly those of a plan, and a record of each. The
decisions are made below, in `render` and `diff`; this folder does the IO. Never: a write that no plan named, or one
without a precondition.
"""
