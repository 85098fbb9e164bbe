"""The promises of the set-up."""
