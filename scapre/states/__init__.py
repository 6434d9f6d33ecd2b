"""Texts as a text encoder answers them: prompts, the states of their tokens, and which states belong together."""
