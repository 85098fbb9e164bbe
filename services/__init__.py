"""How the world talks to us: `api` over HTTP, and later `agent` on each node."""
