"""Stable Cascade on the host's own classes: words and vector of stage C, the vector of stage B."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy.sd
import comfy.supported_models as supported
import pytest
import torch
from comfy import sdxl_clip
from comfy.model_patcher import ModelPatcher
from comfy.supported_models_base import ClipTarget
from safetensors.torch import save_file
from torch import Tensor

from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.host.projections import HostProjections
from pack.nodes.host.sampling import Sampling, empty_latent
from pack.nodes.host.text_encoder import ClipEncoder, encoder_for
from pack.scapre.checkpoints.checkpoint import Checkpoint
from pack.scapre.checkpoints.clip_files import clip_from_files
from pack.scapre.checkpoints.encoder import CheckpointEncoder
from pack.scapre.checkpoints.t5_files import OPTION
from pack.scapre.checkpoints.tensor_file import TensorFile
from pack.scapre.checkpoints.tokenizer import Tokenizer
from pack.scapre.checkpoints.towers import TOWERS
from pack.scapre.edits.fingerprint import sample
from pack.scapre.errors import ScaPreError
from pack.scapre.export.diff import write_diff
from pack.scapre.export.lora import write_lora
from pack.scapre.export.result import Options
from pack.scapre.export.whole import write_checkpoint
from pack.scapre.files import read_edit, write_edit
from pack.scapre.progress import silent
from pack.scapre.report.data import report_data
from pack.tests.host import models

WIDTH = 128
WORDS, VECTOR, OF_B = (
    f"diffusion_model.{name}.weight" for name in ("clip_txt_mapper", "clip_txt_pooled_mapper", "clip_mapper")
)
_STAGES: dict[str, tuple[type, dict[str, Any], tuple[int, ...]]] = {
    "c": (
        supported.Stable_Cascade_C,
        {
            "stable_cascade_stage": "c", "c_cond": 32, "c_hidden": [32, 32], "nhead": [2, 2],
            "blocks": [[1, 1], [1, 1]], "c_clip_text": WIDTH, "c_clip_text_pooled": WIDTH,
        },
        (1, 16, 8, 8),
    ),
    "b": (
        supported.Stable_Cascade_B,
        {
            "stable_cascade_stage": "b", "c_cond": 32, "c_hidden": [16, 16, 32, 32], "nhead": [-1, -1, 2, 2],
            "blocks": [[1, 1, 1, 1], [1, 1, 1, 1]], "block_repeat": [[1, 1, 1, 1], [1, 1, 1, 1]], "c_clip": WIDTH,
        },
        (1, 4, 16, 16),
    ),
}  # fmt: skip


def stage(name: str) -> ModelPatcher:
    kind, settings, _ = _STAGES[name]
    config = kind(dict(settings))
    config.unet_config = dict(settings)
    config.set_inference_dtype(torch.float32, None)
    return models.patcher(models.fill(config.get_model({}, "", device=models.CPU), 0))


def text_encoder() -> comfy.sd.CLIP:
    """Stable Cascade's CLIP."""
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 160}
    target = ClipTarget(sdxl_clip.StableCascadeTokenizer, sdxl_clip.StableCascadeClipModel)
    made = comfy.sd.CLIP(target, model_options={"clip_g_model_config": sizes, "dtype": torch.float32})
    models.fill(made.cond_stage_model, 0)
    return made


@pytest.fixture(scope="module")
def clip() -> comfy.sd.CLIP:
    return text_encoder()


@pytest.fixture(scope="module", params=list(_STAGES))
def stages(request: pytest.FixtureRequest) -> tuple[str, ModelPatcher]:
    return request.param, stage(request.param)


def answered(model: ModelPatcher, name: str, clip: comfy.sd.CLIP, text: str) -> tuple[Tensor, dict[str, Tensor]]:
    """One answer of a stage to a text, and what entered the matrices that read it."""
    seen: dict[str, Tensor] = {}
    states, more = ClipEncoder(clip).conditioning(text)[0]
    noise = torch.randn(_STAGES[name][2], generator=torch.Generator().manual_seed(9))
    with models.loaded(model) as network, torch.inference_mode():
        own = network.extra_conds(noise=noise, cross_attn=states, **more)
        handles = [
            network.get_submodule(layer.removesuffix(".weight")).register_forward_hook(
                lambda _, inputs, __, layer=layer: seen.__setitem__(layer, inputs[0].detach().clone())
            )
            for layer in HostProjections(model).roles
        ]
        found = network.apply_model(noise, torch.full((1,), 0.5), **{key: value.cond for key, value in own.items()})
        for handle in handles:
            handle.remove()
    return found, seen


def erased(model: ModelPatcher, clip: comfy.sd.CLIP, names: str = "cat\nVan Gogh -> art", **more: Any) -> Any:
    return EraseConcepts.execute(
        model, clip, names, **{"method": "uce", "preset": "objects", "preserve": "tulip", **more}
    )


def uce(weight: Tensor, concepts: Tensor, anchors: Tensor, preserved: Tensor) -> Tensor:
    """W' of UCE from its equation, float64; states are rows, λ = ½."""
    left = weight @ anchors.T @ concepts + weight @ preserved.T @ preserved + weight / 2
    right = concepts.T @ concepts + preserved.T @ preserved + torch.eye(weight.shape[1], dtype=torch.float64) / 2
    return left @ torch.linalg.inv(right)


def test_the_engine_reads_what_the_matrices_read(stages: tuple[str, ModelPatcher], clip: comfy.sd.CLIP) -> None:
    name, model = stages
    encoder = encoder_for(clip, HostProjections(model))
    for text in ("", "a red cat in the style of van gogh"):
        _, seen = answered(model, name, clip, text)
        states, empty = encoder.encode([text], silent)[0], encoder.encode([""], silent)[0]
        if name == "c":
            assert (states - seen[WORDS][0]).abs().max() <= 1e-5 * states.abs().max()
            vector, there = ClipEncoder(clip).pooled([text])[0], seen[VECTOR].flatten()
        else:
            vector, there = states[-1], seen[OF_B].flatten()
            assert torch.equal(states[1:], vector.expand(76, -1)) and torch.equal(states[0], empty[-1])
        assert (vector - there).abs().max() <= 1e-5 * there.abs().max()


def test_an_edit_is_that_of_what_was_caught_in_the_model(stages: tuple[str, ModelPatcher], clip: comfy.sd.CLIP) -> None:
    name, model = stages
    kept = models.snapshot(model)
    edited = HostProjections(erased(model, clip)[0])
    before = HostProjections(model)
    assert set(before.roles) == ({WORDS, VECTOR} if name == "c" else {OF_B})
    for matrix in before.roles:

        def last(text: str, matrix: str = matrix) -> Tensor:
            rows = answered(model, name, clip, text)[1][matrix].flatten(0, -2)
            return rows[len(ClipEncoder(clip).tokens(text)) if matrix == WORDS else 0].double()

        concepts, anchors = (torch.stack([last(t) for t in texts]) for texts in (("cat", "Van Gogh"), ("", "art")))
        wanted = uce(before.read(matrix, models.CPU).double(), concepts, anchors, last("tulip")[None])
        assert (edited.read(matrix, models.CPU) - wanted).abs().max() <= 1e-4 * wanted.abs().max()
    assert models.same(models.snapshot(model), kept)


def test_names_answer_otherwise_and_preserved_ones_as_before(stages: tuple[str, ModelPatcher], clip: Any) -> None:
    name, model = stages
    edited, _, report = erased(model, clip, "cat -> dog", method="speed", preset="few")

    def moved(text: str) -> float:
        before, after = (answered(one, name, clip, text)[0] for one in (model, edited))
        return float((after - before).norm() / before.norm())

    # SPEED holds one state of a text, which in stage B is all there is; in stage C padding answers, too.
    for still, share in (("tulip", 1e-3), ("", 1e-3)) if name == "b" else (("", 0.03),):
        assert moved(still) < share * moved("cat"), still
    assert ("pooled vector: erased there, too" in report) == (name == "c")


def test_the_vector_of_stage_c_is_left_alone_where_that_is_asked(clip: comfy.sd.CLIP) -> None:
    model = stage("c")
    assert VECTOR in erased(model, clip)[1].matrices
    assert VECTOR not in erased(model, clip, pooled="off")[1].matrices


@pytest.mark.parametrize("method", ["auto", "scapre", "rece", "oce", "dp"])
def test_closed_forms_files_and_reports(
    stages: tuple[str, ModelPatcher], clip: Any, method: str, tmp_path: Path
) -> None:
    from pack.scapre.methods import closed_form

    model, preset = stages[1], next(iter(closed_form(method).presets))
    edit = erased(model, clip, method=method, preset=preset)[1]
    assert all(value == value for value in edit.report.change.values())
    blocks = [row["block"] for row in report_data(edit, "Title")["blocks"]]
    assert blocks == (["words"] if stages[0] == "c" else []) + ["pooled vector"]
    write_edit(edit, tmp_path / "edit.safetensors")
    found = read_edit(tmp_path / "edit.safetensors")
    for name, shape in edit.matrices.items():
        weight = HostProjections(model).read(name, models.CPU)
        assert tuple(weight.shape) == shape and torch.equal(found.delta(name, weight), edit.delta(name, weight))


def test_exports_are_read_by_the_stock_loader(stages: tuple[str, ModelPatcher], clip: Any, tmp_path: Path) -> None:
    name, model = stages
    edited, edit, _ = erased(model, clip)
    wanted, _ = answered(edited, name, clip, "a cat")
    for write in (write_diff, write_lora):
        file = tmp_path / f"{write.__name__}.safetensors"
        write(edit, HostProjections(model), file, Options(dtype="fp32"), silent)
        loaded = comfy.sd.load_lora_for_models(model, None, comfy.utils.load_torch_file(str(file)), 1.0, 0)[0]
        found, _ = answered(loaded, name, clip, "a cat")
        assert (found - wanted).norm() < 2e-2 * (wanted - answered(model, name, clip, "a cat")[0]).norm()


def test_other_encoders_and_drawing_are_refused(stages: tuple[str, ModelPatcher], clip: comfy.sd.CLIP) -> None:
    model = stages[1]
    with pytest.raises(ScaPreError, match=r"clip: it is .l., and Stable Cascade . models read CLIP-G"):
        erased(model, models.text_encoder("sd15"))
    with pytest.raises(ScaPreError, match="one stage of Stable Cascade"):
        empty_latent(model, Sampling(0, 1, 1.0, "euler", "normal", 64, 64))


@pytest.mark.parametrize("inside", [False, True])
def test_the_command_line_reads_the_encoder_as_the_host_does(clip: comfy.sd.CLIP, inside: bool, tmp_path: Path) -> None:
    small = replace(TOWERS["Stable Cascade C"][0], heads=2, layers=3)
    start = "text_encoder.clip_g.transformer." if inside else ""
    weights = clip.cond_stage_model.clip_g.transformer.state_dict()
    content = {start + name: value.contiguous().clone() for name, value in weights.items()}
    if inside:  # as it is in a checkpoint, beside the encoder and the other way round
        content["text_encoder.clip_g.text_projection"] = content.pop(f"{start}text_projection.weight").T.contiguous()
    save_file(content, tmp_path / "clip.safetensors")
    texts, host = ["", "cat", "a red cat in the style of van gogh"], ClipEncoder(clip)
    with TensorFile(tmp_path / "clip.safetensors", OPTION) as file:
        if inside:
            encoder = CheckpointEncoder(file.entries, file.read, Tokenizer(), [small])
        else:
            encoder = clip_from_files([file], [small], "Stable Cascade C", Tokenizer())
        for found, wanted in (
            (encoder.encode(texts, silent), host.encode(texts, silent)),
            (encoder.encode_prefixes(texts, 9), host.encode_prefixes(texts, 9)),
            (encoder.pooled(texts), host.pooled(texts)),
        ):
            assert (found - wanted).norm() <= 1e-5 * wanted.norm()


def test_a_file_of_a_stage_is_read_as_the_model_is(stages: tuple[str, ModelPatcher], clip: Any, tmp_path: Path) -> None:
    name, model = stages
    content = {key: value.contiguous().clone() for key, value in model.model.diffusion_model.state_dict().items()}
    save_file(content, tmp_path / "stage.safetensors")
    edit, projections = erased(model, clip)[1], HostProjections(model)
    with Checkpoint(tmp_path / "stage.safetensors") as checkpoint:
        assert checkpoint.family == f"Stable Cascade {name.upper()}" and checkpoint.roles == projections.roles
        assert edit.difference({one: sample(checkpoint.read(one, models.CPU)) for one in edit.matrices}) == 0
        write_checkpoint(edit, checkpoint, tmp_path / "out.safetensors", Options(), silent)
    after = comfy.utils.load_torch_file(str(tmp_path / "out.safetensors"))
    for key, before in content.items():
        matrix = f"diffusion_model.{key}"
        wanted = before + edit.delta(matrix, before) if matrix in edit.matrices else before
        assert torch.allclose(after[key], wanted, atol=1e-6, rtol=0), key
