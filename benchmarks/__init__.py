"""How fast, and beside whom: each module is one program (`make bench-NAME`)."""
