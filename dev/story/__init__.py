"""`make run`: the whole tool in one sitting, with its real output, on a real API server."""
