"""What can go wrong here for a reason a person can mend. Apart from the rest, so that catching it costs no import.

In: nothing. Out: exceptions whose text is the whole message. Never: a secret in that text.
"""

from __future__ import annotations


class DatabaseError(Exception):
    """The database cannot be used: which (without password), why, and the mend."""
