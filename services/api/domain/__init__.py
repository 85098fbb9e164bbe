"""What people work with: projects, pipelines, environments, jobs, settings.

In: a session of the caller's transaction, and values. Out: frozen views; each change registers its event in that same
transaction. Never: a request, a response, a commit.
"""
