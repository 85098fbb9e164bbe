"""One file a revision, numbered: 0001, 0002, ..."""
