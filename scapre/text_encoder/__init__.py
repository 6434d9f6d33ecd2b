"""The text encoder inside a checkpoint, for use outside a host; `transformers` runs it and splits the text."""
