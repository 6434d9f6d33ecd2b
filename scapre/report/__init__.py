"""What an edit did to the projections: `figures` measures, `data` tells all of it as JSON, `markdown` writes it out."""

from __future__ import annotations

from ..edits.figures import Report, ResponseMeter, held_prompts

__all__ = ["Report", "ResponseMeter", "held_prompts"]
