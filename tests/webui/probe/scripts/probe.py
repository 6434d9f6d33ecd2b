"""An extension of the tests: tells what every text projection does at the end of each pass, however that came about.

A module that is given the unit vectors answers with its weight, whatever was merged into it or stands beside it.
"""

from pathlib import Path

import torch
from modules import devices, paths, script_callbacks, scripts
from safetensors.torch import save_file

_FOLDER = Path(paths.data_path) / "probe"


class Probe(scripts.Script):
    """Always there."""

    passes = 0

    def title(self):
        return "Probe"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def process(self, p, *values):
        _FOLDER.mkdir(exist_ok=True)
        for file in _FOLDER.glob("*.safetensors"):
            file.unlink()
        type(self).passes = 0

    def post_sample(self, p, samples, *values):
        objects = getattr(p.sd_model, "forge_objects", None)
        unet = objects.unet.model.diffusion_model if objects else p.sd_model.model.diffusion_model
        found = {}
        with torch.no_grad(), devices.autocast():
            for name, module in unet.named_modules():
                if name.endswith(("attn2.to_q", "attn2.to_k", "attn2.to_v", "attn2.to_out.0", "ff.net.2")):
                    # Layers of some kinds of storage do not tell their in_features.
                    width, like = module.weight.shape[1], next(unet.parameters())
                    kind = like.dtype if like.dtype in (torch.float32, torch.float16) else torch.float32
                    units = torch.eye(width, dtype=kind, device=like.device)
                    answer = module(units) - module(torch.zeros_like(units[:1]))  # some have a bias
                    found[f"diffusion_model.{name}.weight"] = answer.T.float().cpu().contiguous()
                elif name.endswith(("in_layers.2", "out_layers.3")):
                    found[f"diffusion_model.{name}.weight"] = module.weight.flatten(1).float().cpu().clone()
        save_file(found, _FOLDER / f"{type(self).passes}.safetensors")
        type(self).passes += 1


def _started(_, app):
    """Routes that tell what the page's plot offers."""

    @app.get("/probe/axes")
    def axes():
        plot = next(data.module for data in scripts.scripts_data if data.path.endswith("xyz_grid.py"))
        runner = scripts.scripts_txt2img
        script = next(script for script in runner.selectable_scripts if script.title() == "X/Y/Z plot")
        return {"axes": [option.label for option in script.current_axis_options or plot.axis_options]}


script_callbacks.on_app_started(_started)
