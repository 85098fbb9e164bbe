"""The promises that only a real API server can test."""
