"""Pictures that the nodes draw, with PIL."""
