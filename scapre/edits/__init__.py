"""A finished edit, its figures, and what is done with it: recognised, compared, hidden."""
