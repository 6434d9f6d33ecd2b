"""An extension of the tests: draws in the place of the model, as TensorRT's does. Forge has no such places any more."""

import torch
from modules import script_callbacks, sd_unet


class StandIn(sd_unet.SdUnet):
    """Sees nothing in what it is given."""

    def forward(self, x, timesteps, context, *values, **named):
        return torch.zeros_like(x)


class Option(sd_unet.SdUnetOption):
    """Chosen by its label, or by itself with the checkpoint "replaced"."""

    label = "stand-in"
    model_name = "replaced"

    def create_unet(self):
        return StandIn()


script_callbacks.on_list_unets(lambda options: options.append(Option()))
