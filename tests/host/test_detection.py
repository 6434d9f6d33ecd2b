"""Which families are supported, as the host detects them, and which are refused by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import comfy.model_detection as detection
import comfy.supported_models
import pytest
import torch
from comfy.model_patcher import ModelPatcher

from pack.nodes.host.patch import apply_edit
from pack.nodes.host.projections import HostProjections
from pack.scapre.errors import ScaPreError
from pack.scapre.families import FAMILIES, Role, stable_diffusion
from pack.scapre.families.marks import MARKS, Found, Mark, find_class
from pack.scapre.families.signatures import RELATIVES, detect
from pack.tests.host import models, transformers
from pack.tests.host.models import KINDS, answer, projections, solve, unet

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")


def big_unet(**changes: Any) -> dict[str, Any]:
    """SD1.x as the detection describes it."""
    sd1 = models.unet_settings(
        model_channels=320, channel_mult=[1, 2, 4, 4], num_res_blocks=[2, 2, 2, 2], context_dim=768,
        transformer_depth=[1, 1, 1, 1, 1, 1, 0, 0], transformer_depth_output=[1] * 9 + [0] * 3,
    )  # fmt: skip
    return sd1 | changes


def big_sdxl(depth: list[int], output: list[int], middle: int, blocks: int = 2, **changes: Any) -> dict[str, Any]:
    settings = big_unet(
        channel_mult=[1, 2, 4], num_res_blocks=[blocks] * 3, context_dim=2048, adm_in_channels=2816,
        transformer_depth=depth, transformer_depth_output=output, transformer_depth_middle=middle,
        use_linear_in_transformer=True, num_classes="sequential",
    )  # fmt: skip
    return settings | changes


def unclip(vector: int) -> dict[str, Any]:
    return big_unet(context_dim=1024, use_linear_in_transformer=True, adm_in_channels=vector, num_classes="sequential")


BIG_SDXL = ([0, 0, 2, 2, 10, 10], [0, 0, 0, 2, 2, 2, 10, 10, 10], 10)
SUPPORTED = {  # class: what its checkpoints look like, and its cross-attentions
    "SD15": (big_unet(), 16),
    "SD20": (big_unet(context_dim=1024, use_linear_in_transformer=True), 16),
    "SD21UnclipL": (unclip(1536), 16),
    "SD21UnclipH": (unclip(2048), 16),
    "SD15_instructpix2pix": (big_unet(in_channels=8), 16),
    "SDXL": (big_sdxl(*BIG_SDXL), 70),
    "SDXL_instructpix2pix": (big_sdxl(*BIG_SDXL, in_channels=8), 70),
    "SSD1B": (big_sdxl([0, 0, 2, 2, 4, 4], [0, 0, 0, 1, 1, 2, 10, 4, 4], -1), 34),
    "Segmind_Vega": (big_sdxl([0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 1, 2, 2, 2], -1), 15),
    "KOALA_700M": (big_sdxl([0, 2, 5], [0, 0, 2, 2, 5, 5], -2, 1), 21),
    "KOALA_1B": (big_sdxl([0, 2, 6], [0, 0, 2, 2, 6, 6], 6, 1), 30),
    "SDXLRefiner": (
        big_sdxl(
            [0, 0, 4, 4, 4, 4, 0, 0], [0, 0, 0, 4, 4, 4, 4, 4, 4, 0, 0, 0], 4,
            channel_mult=[1, 2, 4, 4], num_res_blocks=[2] * 4, model_channels=384, context_dim=1280,
            adm_in_channels=2560,
        ),
        44,
    ),
}  # fmt: skip
VIDEO = {
    "in_channels": 8, "context_dim": 1024, "use_linear_in_transformer": True, "num_classes": "sequential",
    "use_temporal_attention": True, "use_temporal_resblock": True, "merge_strategy": "learned_with_images",
    "merge_factor": 0.0, "extra_ff_mix_layer": True, "use_spatial_context": True, "video_kernel_size": [3, 1, 1],
}  # fmt: skip
REFUSED = {
    "LotusD": big_unet(context_dim=1024, use_linear_in_transformer=True, adm_in_channels=4, num_classes="sequential"),
    "SD_X4Upscaler": big_unet(model_channels=256, in_channels=7, context_dim=1024, use_linear_in_transformer=True),
    "SVD_img2vid": big_unet(**VIDEO, adm_in_channels=768),
    "SV3D_u": big_unet(**VIDEO, adm_in_channels=256),
    "SV3D_p": big_unet(**VIDEO, adm_in_channels=1280),
    "LongCatImage": {
        "image_model": "flux", "in_channels": 16, "out_channels": 16, "patch_size": 2, "context_in_dim": 3584,
        "hidden_size": 48, "mlp_ratio": 2.0, "num_heads": 2, "depth": 1, "depth_single_blocks": 1,
        "axes_dim": [8, 8, 8], "theta": 10_000, "qkv_bias": True, "guidance_embed": False, "vec_in_dim": None,
        "txt_ids_dims": [1, 2],
    },
}  # fmt: skip


def as_detected(settings: dict[str, Any]) -> ModelPatcher:
    """The model the host builds for a checkpoint of these settings, in full size but without memory for its weights."""
    config = detection.model_config_from_unet_config(settings, {})
    config.set_inference_dtype(torch.float16, None)
    device = torch.device("meta")
    return ModelPatcher(config.get_model({}, "", device=device), device, device)


def test_every_supported_unet_is_tested() -> None:
    assert set(SUPPORTED) == set(stable_diffusion.FAMILIES)


@pytest.mark.parametrize("detected", SUPPORTED)
def test_a_supported_family_shows_the_keys_and_values_of_all_its_cross_attentions(detected: str) -> None:
    settings, attentions = SUPPORTED[detected]
    model = as_detected(settings)
    found = HostProjections(model)
    assert type(model.model.model_config).__name__ == detected
    assert found.family == FAMILIES[detected].title
    texts = [name for name, role in found.roles.items() if role.reads_text]
    assert len(texts) == len(set(texts)) == 2 * attentions
    assert sum(name.endswith("attn2.to_k.weight") for name in texts) == attentions
    weights = model.model.state_dict()
    assert {weights[name].shape[1] for name in texts} == {settings["context_dim"]}
    outputs = [name for name, role in found.roles.items() if role is Role.FEED_FORWARD]
    assert len(outputs) == attentions and all(name.endswith(".ff.net.2.weight") for name in outputs)
    assert all(weights[name].shape[1] == 4 * weights[name].shape[0] for name in outputs)


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor", "ignore:__array_wrap__ must accept")  # the host's
@pytest.mark.parametrize("detected", REFUSED)
def test_another_family_is_refused_by_name_with_the_list_of_those_supported(detected: str) -> None:
    model = as_detected(REFUSED[detected])
    assert type(model.model.model_config).__name__ == detected
    with pytest.raises(ScaPreError, match=f"model: {detected} ") as refusal:
        HostProjections(model)
    assert all(family.title in str(refusal.value) for family in FAMILIES.values())


# --- the same without the host, from a file ---


def shapes_of(model: ModelPatcher) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in model.model.diffusion_model.state_dict().items()}


UNETS = {detected: settings for detected, (settings, _) in SUPPORTED.items()} | {
    detected: REFUSED[detected] for detected in RELATIVES if detected in REFUSED
}


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor", "ignore:__array_wrap__ must accept")  # the host's
@pytest.mark.parametrize("detected", UNETS)
def test_a_unet_in_a_file_is_told_as_the_host_tells_it(detected: str) -> None:
    assert detect(shapes_of(as_detected(UNETS[detected]))) == detected


@pytest.mark.parametrize(("detected", "inputs"), [("SD15", 9), ("SD15", 5), ("SD20", 9), ("SD20", 5), ("SDXL", 9)])
def test_masks_and_depths_beside_the_picture_leave_the_family_as_it_is(detected: str, inputs: int) -> None:
    model = as_detected(SUPPORTED[detected][0] | {"in_channels": inputs})
    assert type(model.model.model_config).__name__ == detect(shapes_of(model)) == detected
    assert HostProjections(model).family == FAMILIES[detected].title


def test_views_are_told_by_what_lies_beside_the_unet() -> None:
    settings = SUPPORTED["SD15_instructpix2pix"][0]
    beside = {"cc_projection.weight", "cc_projection.bias"}
    assert type(detection.model_config_from_unet_config(settings, dict.fromkeys(beside))).__name__ == "Stable_Zero123"
    assert detect(shapes_of(as_detected(settings)), beside) == "Stable_Zero123"
    assert detect(shapes_of(as_detected(SUPPORTED["SD15"][0])), beside) == "SD15"


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor", "ignore:__array_wrap__ must accept")  # the host's
@pytest.mark.parametrize("detected", [name for name in REFUSED if name not in RELATIVES])
@pytest.mark.parametrize("prefix", ["model.diffusion_model.", ""])
def test_another_model_in_a_file_has_its_name(detected: str, prefix: str) -> None:
    shapes = shapes_of(as_detected(REFUSED[detected]))
    found = find_class({prefix + name: shape for name, shape in shapes.items()})
    assert found == Found(detected, prefix, converted=False)


class Generous(dict[str, torch.Tensor]):
    """A state dict with some names, which answers for any other that the detection reads a size of."""

    def __missing__(self, name: str) -> torch.Tensor:
        return tensor_of((64, 64, 64, 64))


def tensor_of(shape: Iterable[int]) -> torch.Tensor:
    return torch.empty(tuple(shape), device="meta")


# What a real model has besides its marks, where the detection asks for it.
BESIDES: dict[str, dict[str, tuple[int, ...]]] = {
    "SD3": {"x_embedder.proj.weight": (1536, 16, 2, 2)},
    "AuraFlow": {"cond_seq_linear.weight": (3072, 2048)},
    "HunyuanVideo15": {"vision_in.proj.0.weight": (1152, 1152)},
    "HunyuanVideo15_SR_Distilled": {"vision_in.proj.0.weight": (1152, 1152)},
    "HunyuanImage21Refiner": {"img_in.proj.weight": (64, 64, 1, 1, 1)},
    "Chroma": {"distilled_guidance_layer.norms.0.scale": (64,)},
    "ChromaRadiance": {"distilled_guidance_layer.norms.0.scale": (64,), "img_in_patch.weight": (64, 3, 16, 16)},
    "CosmosT2V": {"x_embedder.proj.1.weight": (64, 68)},
    "CosmosT2IPredict2": {"x_embedder.proj.1.weight": (64, 68)},
    "ZImagePixelSpace": {"cap_embedder.1.weight": (3840, 2560)},
    "CogVideoX_Inpaint": {"patch_embed.proj.weight": (64, 48, 2, 2)},
    "CogVideoX_I2V": {"patch_embed.proj.weight": (64, 32, 2, 2)},
    "SeedVR2": {"positive_conditioning": (1,), "negative_conditioning": (1,),
                "blocks.35.mlp.vid.proj_out.weight": (3072, 64)},
    "WAN21_Camera": {"patch_embedding.weight": (64, 32, 1, 2, 2)},
    "WAN22_Camera": {"patch_embedding.weight": (64, 36, 1, 2, 2)},
    "WAN22_WanDancer": {"patch_embedding.weight": (64, 36, 1, 2, 2)},
    "WAN21_I2V": {"patch_embedding.weight": (64, 36, 1, 2, 2)},
    "Hunyuan3Dv2": {f"double_blocks.{n}.img_mod.lin.weight": (1,) for n in range(16)},
    "Hunyuan3Dv2mini": {f"double_blocks.{n}.img_mod.lin.weight": (1,) for n in range(8)},
    "MageFlow": {"proj_out.weight": (128, 64)},
    "DepthAnything3": {"backbone.embeddings.patch_embeddings.projection.weight": (384, 3, 14, 14)},
    "SAM3": {"detector.transformer.decoder.query_embed.weight": (1, 1)},
    "SAM31": {"detector.transformer.decoder.query_embed.weight": (1, 1)},
    "JoyImage": {"double_blocks.0.attn.img_attn_q_norm.weight": (64,), "img_in.weight": (64, 16, 1, 2, 2)},
}  # fmt: skip
HOSTS = {model.__name__ for model in comfy.supported_models.models}  # an older host knows fewer
# Their tensors have the names of diffusers, which the host changes before it looks.
RENAMED = [mark for mark in MARKS if mark.converted]


def state_dict_of(mark: Mark) -> dict[str, torch.Tensor]:
    """The marks of a class, with sizes as they are in real models."""
    found = {name + "weight" if name.endswith(".") else name: (64, 64, 64, 64) for name in mark.has}
    found |= BESIDES.get(mark.name, {})
    if mark.size:
        name, axis, sizes = mark.size
        shape = list(found.get(name, (64,) * (axis + 1)))
        shape[axis] = sizes[0]
        found[name] = tuple(shape)
    return {name: tensor_of(shape) for name, shape in found.items()}


@pytest.mark.parametrize(
    "mark", [mark for mark in MARKS if mark.name in HOSTS and mark not in RENAMED], ids=lambda mark: mark.name
)
def test_every_mark_is_the_hosts_own(mark: Mark) -> None:
    content = Generous(state_dict_of(mark))
    config = detection.model_config_from_unet_config(detection.detect_unet_config(content, ""), content)
    assert type(config).__name__ == mark.name
    shapes = {name: tuple(value.shape) for name, value in content.items()}
    for prefix in ("model.diffusion_model.", "diffusion_model.", "net.", ""):
        assert find_class({prefix + name: shape for name, shape in shapes.items()}) == Found(mark.name, prefix, False)


@pytest.mark.parametrize("mark", RENAMED, ids=lambda mark: mark.name)
def test_names_of_diffusers_are_known_too(mark: Mark) -> None:
    found = find_class({name: tuple(value.shape) for name, value in state_dict_of(mark).items()})
    assert found == Found(mark.name, "", converted=True)


def test_every_class_of_the_host_is_supported_or_has_its_name() -> None:
    known = {*FAMILIES, *RELATIVES, *(mark.name for mark in MARKS)}
    assert HOSTS - known <= {"WAN21_CausalAR_T2V", "WAN21_FlowRVS"}  # told by metadata alone: they are named WAN21_T2V


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_every_family_is_solved_and_edited(kind: str) -> None:
    model, clip = unet(kind), models.text_encoder(kind)
    before = answer(model)
    solved = solve(model, clip)
    assert set(solved.shapes) == set(projections(model))
    after = answer(apply_edit(model, solved, 1.0))
    assert after.isfinite().all()
    assert (after - before).abs().max() > 0.01


_BY_SIZE = {"z-image": "Lumina2", "kandinsky 5 image": "Kandinsky5"}
"""What small models are told as, where only the size of a large one shows which it is."""


@pytest.mark.parametrize("kind", transformers.KINDS)
@pytest.mark.parametrize("prefix", ["model.diffusion_model.", ""])
def test_a_transformer_in_a_file_is_told_as_the_host_tells_it(kind: str, prefix: str) -> None:
    model = transformers.transformer(kind)
    detected = type(model.model.model_config).__name__
    found = find_class({prefix + name: shape for name, shape in shapes_of(model).items()})
    assert found == Found(_BY_SIZE.get(kind, detected), prefix, converted=False)
    assert HostProjections(model).family == FAMILIES[detected].title
