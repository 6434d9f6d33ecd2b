"""A ComfyUI server without a screen, its client, and a small model for it."""
