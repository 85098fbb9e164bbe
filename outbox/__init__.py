"""Who is told, and did they hear? And below that: the one database, since an event shares its recorder's transaction.

In: rows and events in a caller's transaction. Out: deliveries, each attempt recorded.
Never: a lost event, or anything sent that was not committed.
"""
