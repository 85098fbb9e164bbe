"""What the API is compared with: the same SQL behind less, served in the same way."""
