"""One module per noun of the URL space: its operations, and the models of its bodies.

In: checked calls. Out: replies. Never: SQL, which is the domain's; or reading a request, which is `http`'s.
"""
