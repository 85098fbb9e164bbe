"""The files of a step's directory: how an output becomes bytes that survive anything, and comes back without a copy.

`transfer` asks, these modules do. Read them in this order: `head` and `trailer` (what the bytes mean, pure),
`output_file` (writing them), `pickling`, `unpickling` and `arrow` (objects), `step_directory` (the order of renames
that makes an output all or nothing), `loading` and `verification` (the way back), `description` and `culprit` (what
people are told).
"""
