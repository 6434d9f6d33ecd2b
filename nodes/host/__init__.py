"""The adapter: the only modules that read, encode with, patch and draw with the host's MODEL, CLIP and VAE."""
