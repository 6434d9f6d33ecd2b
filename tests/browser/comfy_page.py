"""The page as the browser tests use it."""

from pack.benchmarks.host.page import ComfyPage, write_settings

__all__ = ["ComfyPage", "write_settings"]
