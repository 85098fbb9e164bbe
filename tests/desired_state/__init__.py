"""Promises about what was asked: pure, plain calls and tables, milliseconds."""
