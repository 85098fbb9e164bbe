"""Programs of the anchors; they run in an environment of their own (`run.py`) and share nothing with the project."""
