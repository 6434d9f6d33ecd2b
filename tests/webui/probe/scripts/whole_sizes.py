"""An extension of the tests: Forge reads the sizes in a GGUF as numpy's, from which it cannot make a UNet.

What it computes of them, such as the width of a block, is no whole number then (numpy's unsigned and Python's make a
float). With whole ones it takes a UNet of Stable Diffusion as it takes the transformers whose sizes it knows by heart.
"""

import torch

try:
    from backend.operations_gguf import ParameterGGUF
except ImportError:
    ParameterGGUF = None  # AUTOMATIC1111 knows no such files

if ParameterGGUF is not None:
    ParameterGGUF.shape = property(lambda weight: torch.Size(map(int, weight.real_shape)))
