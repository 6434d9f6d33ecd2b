"""A checkpoint file, read without a host: its tensors, its text projections and the text encoder inside."""
