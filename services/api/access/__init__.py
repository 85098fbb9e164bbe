"""Who calls, and what they may do: bearer tokens of our own, and Kubernetes ServiceAccounts.

In: the Authorization header. Out: a `Caller`. Never: a token in clear text anywhere but in the answer that made it.
"""
