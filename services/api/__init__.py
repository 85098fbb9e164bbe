"""The HTTP API: everything the platform knows and does, for programs, for `orchest --api`, and for the original's SDK.

In: requests. Out: JSON, problems, streams of events. `http` is how a request becomes one call of a plain function and
its answer a response; `access` is who may call; `domain` is projects, pipelines, environments, jobs and settings, with
the events their changes cause; `resources` is one module per noun of the URL space. Start reading at `app.py`.
Never: a decision that belongs to the outbox or the reconciler.
"""
