"""What happened: the types of events, the facts of each, and what is told to whom.

In: facts, in the transaction of the change they report. Out: payloads, frozen with the event. Never: a look at any
other table; what was not given at registration is not known later.
"""
