"""Edits as files: one `.safetensors` that holds what an edit is, and what it takes to combine it with others."""

from __future__ import annotations

from .edit_file import read_edit, write_edit

__all__ = ["read_edit", "write_edit"]
