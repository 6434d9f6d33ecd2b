"""What the page asks for, and what nodes show in it."""
