"""The files of a step's directory: how an output becomes bytes that survive anything, and comes back without a copy.

`transfer` asks, these modules do. Read them in this order: `head` and `trailer` (what the bytes mean, pure),
`output_file` and `checksums` (writing them), `stored` (one file, read), `directory`, `commit` and `latest` (the order
of renames that makes an output all or nothing, and what a reader finds beside it; `file_systems` knows where a removed
file is lost), `objects` and `object_store` (the same in a store that fsspec knows), `places` (which of both it is),
`pickling` and `reducers`, `unpickling`, and `arrow` (values), `allowed` and `sound` (safe mode), `loading` and
`verification` (the way back), `description` and `culprit` (what people are told).
"""
