"""ScaPre for ComfyUI: makes a loaded text-to-image model forget concepts."""

WEB_DIRECTORY = "./web"

if __package__:  # empty when a tool imports this file on its own
    from .nodes import comfy_entrypoint

    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
