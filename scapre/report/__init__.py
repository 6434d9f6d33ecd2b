"""What an edit did, told: `data` as JSON, `markdown` as text that people read."""
