"""What people type: lists of names, the concepts they stand for, and what to know about each line."""
