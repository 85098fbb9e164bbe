"""The original SDK's format, written from its description: what old steps wrote, and what they can read.

Nothing here imports `orchest`: were the two to share a mistake, no test would see it.
"""
