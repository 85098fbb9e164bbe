"""The commands of `orchest` that belong to the API.

In: command lines; `reconciler.cli` finds these modules through the entry points of this distribution. Out: what people
and programs read. Never: an import before it is needed.
"""
