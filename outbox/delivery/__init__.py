"""Each delivery from due to done: claimed, sent, finished, tried again, given up, played again.

In: committed rows. Out: requests, and what came of each attempt. The decisions are pure functions, one engine acts.
Never: a transaction held open over HTTP, or a delivery that only a queue knows of.
"""
