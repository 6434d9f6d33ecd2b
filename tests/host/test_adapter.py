"""The adapter on real models, patchers and text encoders: what it reads, what it changes, what it refuses."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import comfy.hooks
import comfy.model_detection as detection
import comfy.model_management as management
import comfy.sd
import comfy.text_encoders.pixart_t5 as pixart
import comfy.text_encoders.sd3_clip as sd3
import comfy.text_encoders.z_image as z_image
import comfy.weight_adapter
import pytest
import torch
from comfy.model_patcher import LowVramPatch, ModelPatcher
from comfy.quant_ops import QuantizedTensor
from safetensors.torch import load_file, save_file
from torch import Tensor

from pack.nodes.host.device import with_cpu_fallback
from pack.nodes.host.patch import apply_edit
from pack.nodes.host.progress import HostProgress
from pack.nodes.host.projections import HostProjections
from pack.nodes.host.text_encoder import ClipEncoder
from pack.scapre.edit import Edit
from pack.scapre.errors import ScaPreError
from pack.scapre.families import FAMILIES
from pack.scapre.progress import silent
from pack.tests.host import models
from pack.tests.host.models import CPU, KINDS, answer, loaded, projection, projections, same, snapshot, solve, unet

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")

PAD_L, END, START = 49407, 49407, 49406


@pytest.fixture(scope="module")
def edit(clip: comfy.sd.CLIP) -> Edit:
    """An edit of `unet()`."""
    return solve(unet(), clip)


def host_states(clip: comfy.sd.CLIP, prompt: str) -> Tensor:
    """What CLIPTextEncode computes for a prompt."""
    return clip.encode_from_tokens(clip.tokenize(prompt))[0]


def untouched(model: ModelPatcher, weights: dict[str, Tensor], patches: dict[str, list[Any]]) -> bool:
    return same(snapshot(model), weights) and patches == {key: list(value) for key, value in model.patches.items()}


# --- text ---


def test_a_batch_of_texts_gives_each_the_states_it_has_alone(clip: comfy.sd.CLIP) -> None:
    texts = [f"text {'very ' * (index % 5)}number {index}" for index in range(70)]  # more than two batches
    encoder = ClipEncoder(clip)
    together = encoder.encode(texts, silent)
    alone = torch.cat([host_states(clip, text)[None] for text in texts])
    assert together.shape == (70, 77, 24)
    # The same sums in another order: matrix products block their rows by the size of the batch.
    torch.testing.assert_close(together, alone, rtol=0, atol=3e-6)
    assert torch.equal(together, encoder.encode(texts, silent))


@pytest.mark.parametrize("kind", KINDS)
def test_every_family_encodes_as_the_host_does(kind: str) -> None:
    clip = models.text_encoder(kind)
    states = ClipEncoder(clip).encode(["a red cat"], silent)
    assert states.dtype == torch.float32
    assert torch.equal(states[0], host_states(clip, "a red cat"))
    assert states.shape == (1, 77, KINDS[kind].width)


@pytest.mark.parametrize(
    ("literal", "escaped"),
    [
        ("(orange:1.3)", "\\(orange:1.3\\)"),
        ("((orange)) [blue]", "\\(\\(orange\\)\\) [blue]"),
        ("embedding:known", "embedding : known"),
        ("by embedding:known, 1890", "by embedding : known , 1890"),
        ("{red|blue} cat", "{ red | blue } cat"),
    ],
)
def test_prompt_syntax_in_a_name_is_text(tmp_path: Path, literal: str, escaped: str) -> None:
    save_file({"emb_params": torch.ones(2, 768)}, tmp_path / "known.safetensors")
    clip = models.text_encoder(embeddings=tmp_path)
    states = ClipEncoder(clip).encode([literal], silent)[0]
    assert torch.equal(states, host_states(clip, escaped))
    words = clip.tokenizer.clip_l.tokenizer(escaped.replace("\\", ""))["input_ids"][1:-1]
    assert ClipEncoder(clip).last_token(literal) == len(words)


def test_an_embedding_would_be_looked_up_by_the_host(tmp_path: Path) -> None:
    save_file({"emb_params": torch.ones(2, 768)}, tmp_path / "known.safetensors")
    tokens = models.text_encoder(embeddings=tmp_path).tokenize("embedding:known")["l"][0]
    assert torch.is_tensor(tokens[1][0])  # so the test above would see it if the name were not taken literally


@pytest.mark.parametrize("text", ["<|endoftext|>", "a <|startoftext|> b<|endoftext|>c"])
def test_the_names_of_special_tokens_are_text(clip: comfy.sd.CLIP, text: str) -> None:
    encoder = ClipEncoder(clip)
    last = encoder.last_token(text)
    ids = [entry[0] for entry in encoder._tokens(text)["l"][0]]
    assert not {START, END} & set(ids[1 : last + 1])
    assert set(ids[last + 1 :]) == {END}
    assert clip.tokenizer.decode(ids[1 : last + 1]).replace(" ", "") == text.replace(" ", "")
    assert encoder.encode([text], silent).isfinite().all()


def test_the_chosen_layer_of_the_encoder_counts(clip: comfy.sd.CLIP) -> None:
    earlier = clip.clone()
    earlier.clip_layer(-2)  # what CLIP Set Last Layer does
    states = ClipEncoder(earlier).encode(["cat"], silent)[0]
    assert torch.equal(states, host_states(earlier, "cat"))
    assert not torch.equal(states, ClipEncoder(clip).encode(["cat"], silent)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_token_is_the_one_before_the_end(kind: str) -> None:
    encoder = ClipEncoder(models.text_encoder(kind))
    assert encoder.last_token("") == 0
    assert encoder.last_token("cat") == 1
    assert encoder.last_token("a red cat") == 3
    assert encoder.last_token("cat " * 75) == 75
    with pytest.raises(ScaPreError, match=r'"cat cat .*75 tokens'):
        encoder.last_token("cat " * 76)


def test_a_missing_encoder_is_explained() -> None:
    with pytest.raises(ScaPreError, match="clip: it is missing"):
        ClipEncoder(None)


@pytest.mark.parametrize(
    ("tokenizer", "name"),
    [(pixart.PixArtTokenizer, "t5xxl"), (sd3.SD3Tokenizer, "t5xxl"), (z_image.ZImageTokenizer, "qwen3_4b")],
)
def test_another_encoder_than_clip_is_refused_by_name(tokenizer: type, name: str) -> None:
    clip = models.text_encoder()
    clip.tokenizer = tokenizer()  # an encoder of billions of weights is told by its tokenizer
    with pytest.raises(ScaPreError, match=rf"clip: .*{name}.* not .*supported.*SD1\.x.*SDXL"):
        ClipEncoder(clip)


# --- families ---


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


SUPPORTED = {  # class: what its checkpoints look like, and its cross-attentions
    "SD15": (big_unet(), 16),
    "SD20": (big_unet(context_dim=1024, use_linear_in_transformer=True), 16),
    "SD21UnclipL": (unclip(1536), 16),
    "SD21UnclipH": (unclip(2048), 16),
    "SDXL": (big_sdxl([0, 0, 2, 2, 10, 10], [0, 0, 0, 2, 2, 2, 10, 10, 10], 10), 70),
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
REFUSED = {
    "SD15_instructpix2pix": big_unet(in_channels=8),
    "SDXL_instructpix2pix": big_sdxl([0, 0, 2, 2, 10, 10], [0, 0, 0, 2, 2, 2, 10, 10, 10], 10, in_channels=8),
    "LotusD": big_unet(context_dim=1024, use_linear_in_transformer=True, adm_in_channels=4, num_classes="sequential"),
    "SD_X4Upscaler": big_unet(model_channels=256, in_channels=7, context_dim=1024, use_linear_in_transformer=True),
    "SVD_img2vid": big_unet(
        in_channels=8, context_dim=1024, adm_in_channels=768, use_linear_in_transformer=True, num_classes="sequential",
        use_temporal_attention=True, use_temporal_resblock=True, merge_strategy="learned_with_images", merge_factor=0.0,
        extra_ff_mix_layer=True, use_spatial_context=True, video_kernel_size=[3, 1, 1],
    ),
    "SD3": {
        "in_channels": 16, "out_channels": 16, "patch_size": 2, "depth": 1, "input_size": None, "adm_in_channels": 16,
        "num_patches": 64, "pos_embed_max_size": 8, "pos_embed_scaling_factor": None,
        "context_embedder_config": {"target": "torch.nn.Linear", "params": {"in_features": 24, "out_features": 64}},
    },
    "Flux": {
        "image_model": "flux", "guidance_embed": True, "in_channels": 16, "out_channels": 16, "vec_in_dim": 16,
        "context_in_dim": 24, "hidden_size": 64, "mlp_ratio": 2.0, "num_heads": 2, "depth": 1, "depth_single_blocks": 1,
        "axes_dim": [8, 12, 12], "theta": 10000, "patch_size": 2, "qkv_bias": True, "txt_ids_dims": [],
    },
    "PixArtSigma": {
        "image_model": "pixart_sigma", "num_heads": 2, "patch_size": 2, "hidden_size": 32, "in_channels": 4, "depth": 1,
        "model_max_length": 7, "input_size": 64, "pe_interpolation": 1, "micro_condition": False,
        "caption_channels": 24,
    },
}  # fmt: skip


def as_detected(settings: dict[str, Any]) -> ModelPatcher:
    """The model the host builds for a checkpoint of these settings, in full size but without memory for its weights."""
    config = detection.model_config_from_unet_config(settings, {})
    config.set_inference_dtype(torch.float16, None)
    device = torch.device("meta")
    return ModelPatcher(config.get_model({}, "", device=device), device, device)


def test_every_supported_family_is_tested() -> None:
    assert set(SUPPORTED) == set(FAMILIES)


@pytest.mark.parametrize("detected", SUPPORTED)
def test_a_supported_family_shows_the_keys_and_values_of_all_its_cross_attentions(detected: str) -> None:
    settings, attentions = SUPPORTED[detected]
    model = as_detected(settings)
    found = HostProjections(model)
    assert type(model.model.model_config).__name__ == detected
    assert found.family == FAMILIES[detected].title
    assert len(found.names) == len(set(found.names)) == 2 * attentions
    assert sum(name.endswith("attn2.to_k.weight") for name in found.names) == attentions
    weights = model.model.state_dict()
    assert {weights[name].shape[1] for name in found.names} == {settings["context_dim"]}


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor", "ignore:__array_wrap__ must accept")  # the host's
@pytest.mark.parametrize("detected", REFUSED)
def test_another_family_is_refused_by_name_with_the_list_of_those_supported(detected: str) -> None:
    model = as_detected(REFUSED[detected])
    assert type(model.model.model_config).__name__ == detected
    with pytest.raises(ScaPreError, match=f"model: {detected} ") as refusal:
        HostProjections(model)
    assert all(family.title in str(refusal.value) for family in FAMILIES.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_every_family_is_solved_and_edited(kind: str) -> None:
    model, clip = unet(kind), models.text_encoder(kind)
    before = answer(model)
    solved = solve(model, clip)
    assert set(solved.matrices) == set(projections(model))
    after = answer(apply_edit(model, solved, 1.0))
    assert after.isfinite().all()
    assert (after - before).abs().max() > 0.01


# --- reading weights ---


@pytest.mark.parametrize("state", ["at rest", "loaded", "sibling loaded", "short of memory", "sibling short of memory"])
@pytest.mark.parametrize("patched", [False, True])
def test_reading_gives_the_patched_weight_and_leaves_the_model_alone(state: str, patched: bool) -> None:
    bare = unet()
    originals, first, second = projections(bare), models.lora(bare, seed=5), models.lora(bare, seed=6)
    model = models.with_lora(bare, first, 0.8) if patched else bare
    active = models.with_lora(bare, second, -0.5) if "sibling" in state else model
    patches = {key: list(value) for key, value in model.patches.items()}

    def check() -> None:
        stored = snapshot(model)
        found = HostProjections(model)
        assert set(found.names) == set(originals)
        for name in found.names:
            expected = originals[name].double()
            if patched:
                expected = expected + models.lora_delta(first, name, 0.8)
            read = found.read(name, CPU)
            assert read.dtype == torch.float32
            torch.testing.assert_close(read.double(), expected, rtol=0, atol=1e-6)
            read.zero_()  # a copy: it is the reader's own
        assert untouched(model, stored, patches)

    if state == "at rest":
        check()
    else:
        with loaded(active, lowvram="short" in state):
            check()
    assert same(projections(bare), originals)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_reading_half_precision_keeps_what_a_lora_adds_below_it(dtype: torch.dtype) -> None:
    model = unet(dtype=dtype)
    content = models.lora(model, seed=5)
    found = HostProjections(models.with_lora(model, content, 1e-4))
    for name, weight in projections(model).items():
        expected = weight.double() + models.lora_delta(content, name, 1e-4)
        torch.testing.assert_close(found.read(name, CPU).double(), expected, rtol=0, atol=1e-6)


def test_reading_sees_earlier_edits(edit: Edit) -> None:
    model = unet()
    found = HostProjections(apply_edit(model, edit, 0.6))
    for name, weight in projections(model).items():
        torch.testing.assert_close(found.read(name, CPU), weight + 0.6 * edit.delta(name, weight), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "patched",
    [
        False,
        True,
    ],
)
def test_reading_leaves_out_the_patches_of_a_schedule(patched: bool) -> None:
    bare = unet()
    originals, content = projections(bare), models.lora(bare, seed=5)
    model = models.with_lora(bare, content, 0.8) if patched else bare.clone()
    hook, group = comfy.hooks.WeightHook(), comfy.hooks.HookGroup()
    hook.need_weight_init, hook.weights = False, {n: ("diff", (torch.ones_like(w),)) for n, w in originals.items()}
    group.add(hook)
    target = comfy.hooks.create_target_dict(comfy.hooks.EnumWeightTarget.Model)
    hook.add_hook_patches(model, model.model_options, target, comfy.hooks.HookGroup())
    with loaded(model):
        model.patch_hooks(group)  # as while sampling with scheduled conditioning
        try:
            assert not torch.equal(model.model.state_dict()[next(iter(originals))], next(iter(originals.values())))
            for name, weight in originals.items():
                expected = weight.double() + (models.lora_delta(content, name, 0.8) if patched else 0)
                read = HostProjections(model).read(name, CPU).double()
                torch.testing.assert_close(read, expected, rtol=0, atol=1e-6)
        finally:
            model.clean_hooks()


def test_bypass_adapters_are_noted() -> None:
    model = unet()
    content = models.lora(model, seed=5)
    assert HostProjections(models.with_lora(model, content, 1.0)).notes() == ()
    beside = comfy.sd.load_bypass_lora_for_models(model, None, content, 1.0, 0)[0]
    assert any("bypass" in note for note in HostProjections(beside).notes())


# --- applying edits ---


@pytest.mark.parametrize("lowvram", [False, True])
@pytest.mark.parametrize("strength", [0.35, 1.0, 2.0])
def test_the_model_computes_with_the_edited_weights(edit: Edit, strength: float, lowvram: bool) -> None:
    model = unet()
    originals = projections(model)
    with loaded(apply_edit(model, edit, strength), lowvram=lowvram) as network:
        for name, weight in originals.items():
            expected = weight + strength * edit.delta(name, weight)
            torch.testing.assert_close(projection(network, name), expected, rtol=0, atol=1e-6)
            assert (expected - weight).norm() > 0.1 * strength * weight.norm()


def test_both_ways_of_loading_give_one_picture(edit: Edit) -> None:
    edited = apply_edit(unet(), edit, 1.0)
    whole = answer(edited)
    edited.patch_model(CPU, lowvram_model_memory=1)
    assert edited.lowvram_patch_counter() == len(edit.matrices)
    generator = torch.Generator().manual_seed(99)
    image, states = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 77, 24, generator=generator)
    with torch.inference_mode():
        short = edited.model.apply_model(image, torch.ones(1), c_crossattn=states)
    edited.unpatch_model(CPU)
    torch.testing.assert_close(short, whole, rtol=0, atol=1e-5)


def test_only_the_projections_change(edit: Edit) -> None:
    model = unet()
    before = snapshot(model)
    with loaded(apply_edit(model, edit, 1.0)):
        after = snapshot(model)
    assert {name for name in before if not torch.equal(before[name], after[name])} == set(edit.matrices)


@pytest.mark.parametrize("lowvram", [False, True])
def test_a_lora_before_is_erased_along(clip: comfy.sd.CLIP, lowvram: bool) -> None:
    bare = unet()
    originals, content = projections(bare), models.lora(bare, seed=5)
    model = models.with_lora(bare, content, 0.8)
    solved = solve(model, clip)
    assert solved.fingerprint != solve(bare, clip).fingerprint
    with loaded(apply_edit(model, solved, 1.0), lowvram=lowvram) as network:
        for name, weight in originals.items():
            merged = (weight.double() + models.lora_delta(content, name, 0.8)).float()
            expected = merged + solved.delta(name, merged)
            torch.testing.assert_close(projection(network, name), expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize("lowvram", [False, True])
def test_a_lora_after_adds_on_top(edit: Edit, lowvram: bool) -> None:
    bare = unet()
    originals, content = projections(bare), models.lora(bare, seed=5)
    model = models.with_lora(apply_edit(bare, edit, 1.0), content, 0.8)
    with loaded(model, lowvram=lowvram) as network:
        for name, weight in originals.items():
            edited = weight + edit.delta(name, weight)
            expected = (edited.double() + models.lora_delta(content, name, 0.8)).float()
            torch.testing.assert_close(projection(network, name), expected, rtol=0, atol=1e-6)


def test_edits_stack(clip: comfy.sd.CLIP, edit: Edit) -> None:
    model = unet()
    once = apply_edit(model, edit, 1.0)
    second = solve(once, clip, "sailing ship", "objects-many")
    with loaded(apply_edit(once, second, 0.5)) as network:
        stacked = {name: projection(network, name) for name in edit.matrices}
    for name, weight in projections(model).items():
        edited = weight + edit.delta(name, weight)
        expected = edited + 0.5 * second.delta(name, edited)
        torch.testing.assert_close(stacked[name], expected, rtol=0, atol=1e-6)


def test_strength_zero_is_the_original(edit: Edit) -> None:
    model = unet()
    before = answer(model)
    none = apply_edit(model, edit, 0.0)
    assert none is model
    assert torch.equal(answer(none), before)
    assert model.patches == {}


def test_originals_and_siblings_never_notice(edit: Edit) -> None:
    model = unet()
    sibling = models.with_lora(model, models.lora(model, seed=7), 0.5)
    stored, plain, other = snapshot(model), answer(model), answer(sibling)
    edited = apply_edit(model, edit, 1.0)
    assert torch.equal(answer(model), plain)
    changed = answer(edited)
    assert (changed - plain).abs().max() > 0.01
    assert torch.equal(answer(model), plain)
    assert torch.equal(answer(sibling), other)
    assert torch.equal(answer(edited), changed)
    with loaded(edited):
        assert torch.equal(answer(model), plain)  # the host swaps one clone's patches for the other's
    assert same(snapshot(model), stored)
    assert model.patches == {}


@pytest.mark.parametrize("lowvram", [False, True])
def test_unloading_restores_the_weights(edit: Edit, lowvram: bool) -> None:
    model = unet()
    before = snapshot(model)
    with loaded(apply_edit(model, edit, 1.0), lowvram=lowvram):
        assert same(snapshot(model), before) == lowvram
    assert same(snapshot(model), before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("lowvram", [False, True])
def test_half_precision_stays_what_it_is(clip: comfy.sd.CLIP, dtype: torch.dtype, lowvram: bool) -> None:
    model = unet(dtype=dtype)
    before, originals = snapshot(model), projections(model)
    solved = solve(model, clip)
    edited = apply_edit(model, solved, 1.0)
    with loaded(edited, lowvram=lowvram) as network:
        assert {weight.dtype for weight in projections(model).values()} == {dtype}
        for name, weight in originals.items():
            expected = weight.float() + solved.delta(name, weight)
            if not lowvram:  # stored in half precision; else added in float32 at each forward
                expected = expected.to(dtype).float()
            torch.testing.assert_close(projection(network, name).float(), expected, rtol=0, atol=1e-6)
    assert answer(edited).isfinite().all()
    assert same(snapshot(model), before)


def test_a_saved_checkpoint_holds_the_edited_weights(edit: Edit, tmp_path: Path) -> None:
    model = unet()
    file = tmp_path / "edited.safetensors"
    comfy.sd.save_checkpoint(str(file), apply_edit(model, edit, 0.7))  # what CheckpointSave does
    management.unload_all_models()
    saved = load_file(file)
    originals = snapshot(model)
    for name, weight in originals.items():
        if name.startswith("diffusion_model."):
            expected = weight + 0.7 * edit.delta(name, weight) if name in edit.matrices else weight
            torch.testing.assert_close(saved[f"model.{name}"], expected, rtol=0, atol=1e-6)


def test_a_merge_takes_its_share_of_the_edit(edit: Edit) -> None:
    model = unet()
    merged = model.clone()  # what ModelMergeSimple does with two models
    share = apply_edit(model, edit, 1.0).get_key_patches("diffusion_model.")
    merged.add_patches(share, 0.25, 0.75)
    with loaded(merged) as network:
        found = {name: projection(network, name) for name in edit.matrices}
    for name, weight in projections(model).items():
        torch.testing.assert_close(found[name], weight + 0.25 * edit.delta(name, weight), rtol=0, atol=1e-6)


def test_the_patch_survives_the_hosts_prefetching(edit: Edit) -> None:
    """When weights are streamed, the host copies each patch's tensors ahead and builds the patch anew around them."""
    model = unet()
    edited = apply_edit(model, edit, 1.0)
    for name, weight in projections(model).items():
        patch = LowVramPatch(name, edited.patches)
        direct = patch(weight.clone())
        size = patch.memory_required()
        assert size <= 1024  # a marker; the edit itself is shared by all matrices
        patch.prepare(torch.empty(size, dtype=torch.uint8), None)
        assert patch.prepared_patches is not None
        assert patch.prepared_patches[0][1] is not edited.patches[name][0][1]
        assert torch.equal(patch(weight.clone()), direct)
        assert not torch.equal(direct, weight)


def test_an_edit_is_kept_by_clones_and_by_its_tensors_alone(edit: Edit) -> None:
    model = unet()
    clone = apply_edit(model, edit, 1.0).clone()
    held = {key: value.clone() for key, value in models.tensors(edit).items()}
    before = answer(clone)
    assert torch.equal(answer(clone.clone()), before)
    assert same(models.tensors(edit), held)


# --- bad input ---


def spoiled(model: ModelPatcher, value: float) -> str:
    name = list(projections(model))[5]
    model.model.get_submodule(name.removesuffix(".weight")).weight.data[3, 4] = value
    return name


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_no_number_is_named(clip: comfy.sd.CLIP, value: float) -> None:
    model = unet()
    name = spoiled(model, value)
    before = snapshot(model)
    with pytest.raises(ScaPreError, match=f"model: {name} contains NaN or infinity"):
        solve(model, clip)
    assert untouched(model, before, {})


def test_a_lora_that_is_no_number_is_found_too(clip: comfy.sd.CLIP) -> None:
    bare = unet()
    content = models.lora(bare, seed=5)
    key = next(key for key in content if key.endswith("up.weight"))
    content[key][0, 0] = math.nan
    with pytest.raises(ScaPreError, match="LoRA"):
        solve(models.with_lora(bare, content, 1.0), clip)


@pytest.mark.parametrize(("kind", "other"), [("sd15", "sdxl"), ("sdxl", "sd15"), ("sd20", "refiner")])
def test_the_encoder_of_another_family_is_refused_with_both_widths(kind: str, other: str) -> None:
    model = unet(kind)
    before = snapshot(model)
    with pytest.raises(ScaPreError, match=rf"clip: .*\b{KINDS[other].width}\b.*\b{KINDS[kind].width}\b"):
        solve(model, models.text_encoder(other))
    assert untouched(model, before, {})


def test_an_encoder_that_returns_no_numbers_is_refused() -> None:
    clip = models.text_encoder()
    clip.cond_stage_model.clip_l.transformer.text_model.final_layer_norm.weight.data[0] = math.nan
    with pytest.raises(ScaPreError, match=r"clip: .*NaN"):
        solve(unet(), clip)


def quantised_by_file() -> ModelPatcher:
    """As loaded from a file whose keys and values are scaled float8."""
    content = unet().model.diffusion_model.state_dict()
    for name in [key for key in content if "attn2.to_k" in key or "attn2.to_v" in key]:
        small = QuantizedTensor.from_float(content.pop(name), "TensorCoreFP8E4M3Layout", scale="recalculate")
        how = torch.tensor(list(json.dumps({"format": "float8_e4m3fn"}).encode()), dtype=torch.uint8)
        content |= {**small.state_dict(name), f"{name.removesuffix('weight')}comfy_quant": how}
    config = KINDS["sd15"].model(models.unet_settings())
    config.unet_config |= {"num_heads": -1, "num_head_channels": 8}
    config.quant_config = {"mixed_ops": True}
    config.set_inference_dtype(torch.float32, torch.float32)
    model = config.get_model({}, "", device=CPU)
    model.diffusion_model.load_state_dict(content)
    return models.patcher(model)


def stored_in_float8() -> ModelPatcher:
    """As loaded with weight_dtype fp8_e4m3fn."""
    model = unet()
    for name, weight in projections(model).items():
        layer = model.model.get_submodule(name.removesuffix(".weight"))
        layer.weight = torch.nn.Parameter(weight.to(torch.float8_e4m3fn), requires_grad=False)
    return model


QUANTISED = [quantised_by_file, stored_in_float8]


@pytest.mark.parametrize("make", QUANTISED)
def test_a_quantised_model_is_not_solved(clip: comfy.sd.CLIP, make: Callable[[], ModelPatcher]) -> None:
    model = make()
    before = answer(model) if make is quantised_by_file else None
    with pytest.raises(ScaPreError, match=r"model: .*attn2.* is quantised .*fp16, bf16 or fp32"):
        solve(model, clip)
    assert model.patches == {}
    assert before is None or torch.equal(answer(model), before)


@pytest.mark.parametrize("make", QUANTISED)
def test_a_quantised_model_is_not_edited(edit: Edit, make: Callable[[], ModelPatcher]) -> None:
    with pytest.raises(ScaPreError, match="quantised"):
        apply_edit(make(), edit, 1.0)


@pytest.mark.parametrize(
    "other",
    [
        lambda: unet("sd20"),
        lambda: unet("sdxl"),
        lambda: unet(model_channels=64),
        lambda: unet(channel_mult=[1], num_res_blocks=[1], transformer_depth=[1], transformer_depth_output=[1, 1]),
    ],
    ids=["other width", "other family", "other rows", "fewer blocks"],
)
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_an_edit_of_another_architecture_is_refused(
    edit: Edit, other: Callable[[], ModelPatcher], strength: float
) -> None:
    model = other()
    before = snapshot(model)
    with pytest.raises(ScaPreError, match=r"edit: it was made for a SD1\.x model"):
        apply_edit(model, edit, strength)
    assert untouched(model, before, {})


# --- memory and Cancel ---


class Exhausting(Edit):
    """An edit whose first evaluation runs out of memory."""

    asked = 0

    def delta(self, name: str, weight: Tensor) -> Tensor:
        """The change, except the first time."""
        type(self).asked += 1
        if self.asked == 1:
            raise torch.OutOfMemoryError("no memory left")
        return super().delta(name, weight)


def test_a_patch_without_memory_is_computed_on_the_cpu(edit: Edit, caplog: pytest.LogCaptureFixture) -> None:
    model = unet()
    expected = answer(apply_edit(model, edit, 1.0))
    Exhausting.asked = 0
    with caplog.at_level(logging.WARNING, "scapre"):
        found = answer(apply_edit(model, Exhausting(**vars(edit)), 1.0))
    assert torch.equal(found, expected)
    assert Exhausting.asked == len(edit.matrices) + 1
    assert [record.levelname for record in caplog.records if record.name == "scapre"] == ["WARNING"]


def test_another_error_of_a_patch_is_not_hidden(edit: Edit) -> None:
    class Broken(Edit):
        def delta(self, name: str, weight: Tensor) -> Tensor:
            raise RuntimeError(f"{name} is broken")

    model = unet()
    before = answer(model)
    with pytest.raises(RuntimeError, match="is broken"):
        answer(apply_edit(model, Broken(**vars(edit)), 1.0))
    management.unload_all_models()
    assert torch.equal(answer(model), before)


# A device that this process does not have, and of whose memory the host asks the system.
ELSEWHERE = torch.device("mps")


def test_a_solve_without_memory_is_done_on_the_cpu(edit: Edit, caplog: pytest.LogCaptureFixture) -> None:
    asked: list[torch.device] = []

    def compute(device: torch.device) -> Edit:
        asked.append(device)
        if device.type != "cpu":
            raise torch.OutOfMemoryError("no memory left")
        return edit

    with caplog.at_level(logging.WARNING, "scapre"):
        assert with_cpu_fallback(compute, ELSEWHERE, memory=2**20) is edit
    assert asked == [ELSEWHERE, CPU]
    assert len([record for record in caplog.records if record.name == "scapre"]) == 1


def test_a_solve_that_fails_otherwise_is_not_repeated() -> None:
    asked: list[torch.device] = []

    def compute(device: torch.device) -> Edit:
        asked.append(device)
        raise ScaPreError("clip: wrong")

    with pytest.raises(ScaPreError, match="wrong"):
        with_cpu_fallback(compute, ELSEWHERE, memory=2**20)
    assert asked == [ELSEWHERE]


class PressesCancel(comfy.weight_adapter.WeightAdapterBase):
    """A patch that changes nothing; the user presses Cancel while it is read."""

    name = "cancel"
    read: list[str] = []  # noqa: RUF012 - shared on purpose

    def __init__(self, loaded_keys: set[str], weights: tuple[Tensor, ...]) -> None:
        self.loaded_keys, self.weights = loaded_keys, weights

    def calculate_weight(self, weight: Tensor, key: str, *_: Any, **__: Any) -> Tensor:
        """The weight as it is."""
        self.read.append(key)
        management.interrupt_current_processing()
        return weight


def test_cancel_stops_a_solve_at_once_and_leaves_nothing(clip: comfy.sd.CLIP, edit: Edit) -> None:
    bare = unet()
    before = snapshot(bare)
    fourth = list(projections(bare))[3]
    model = bare.clone()
    model.add_patches({fourth: PressesCancel(set(), (torch.zeros(1),))})
    PressesCancel.read.clear()
    with pytest.raises(management.InterruptProcessingException):
        solve(model, clip)
    assert PressesCancel.read == [fourth]  # no weight is read after it
    assert not management.processing_interrupted()
    assert untouched(bare, before, {})
    assert list(model.patches) == [fourth]
    again = solve(bare, clip)
    assert same(models.tensors(again), models.tensors(edit))


def test_cancel_stops_the_text_encoding(clip: comfy.sd.CLIP) -> None:
    progress, done = HostProgress(None), []

    def first_batch_then_cancel(stage: str, count: int, total: int) -> None:
        progress(stage, count, total)
        done.append(count)
        if count:
            management.interrupt_current_processing()

    with pytest.raises(management.InterruptProcessingException):
        ClipEncoder(clip).encode([f"text {index}" for index in range(200)], first_batch_then_cancel)
    assert len(done) == 2  # the start and the batch after which Cancel was pressed
    assert 0 < done[1] < 200
    assert not management.processing_interrupted()
