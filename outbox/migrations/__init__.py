"""The one history of the schema, written by hand. `schema.py` beside this folder runs it."""
