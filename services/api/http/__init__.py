"""How HTTP requests become calls of plain functions, the same way for every resource.

In: `Operation`s, which are values. Out: a Falcon resource per path, and the OpenAPI document. Never: a noun of the
platform.
"""
