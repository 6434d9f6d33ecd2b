"""Tools that run and measure the pack on a real ComfyUI. Nothing here is loaded by the nodes."""
