"""Weights that a loader keeps in a class of its own: edited where they give their values, else refused in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import comfy.lora
import comfy.sd
import comfy.utils
import comfy_extras.nodes_model_merging as merging
import folder_paths
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor
from torch.utils._python_dispatch import return_and_correct_aliasing

from pack.nodes.apply_edit import ApplyEdit
from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.export_edit import ExportEdit
from pack.nodes.host.patch import apply_edit
from pack.nodes.host.projections import HostProjections
from pack.nodes.merge_edits import MergeEdits
from pack.scapre.edits.edit import Edit
from pack.scapre.errors import ScaPreError
from pack.tests.host import models
from pack.tests.host.models import CPU, answer, loaded, projection, projections, unet

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")


class Kept(Tensor):
    """What a loader may keep a weight as."""


class Loaders(Tensor):
    """As GGUF loaders have it: it says what shape the weight has, whatever it holds, and stays what it is."""

    told: Any = None

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        new = super().to(*args, **kwargs)
        new.told = self.told
        return new

    def clone(self, *_: Any, **__: Any) -> Tensor:
        return self

    def detach(self) -> Tensor:
        return self

    @property
    def shape(self) -> torch.Size:
        return self.told or self.size()


class Dequantizing(Loaders):
    """It gives the values to who asks for them in its own way: here bytes, for those of bfloat16."""

    def dequantize(self) -> Tensor:
        raw = Tensor.as_subclass(self, Tensor)
        return raw if raw.is_floating_point() else raw.view(torch.bfloat16)


class Miscounting(Loaders):
    """What it gives are not the values."""

    def dequantize(self) -> Tensor:
        return torch.zeros(self.size())


class Choosy(Tensor):
    """It knows what the host asks of a weight, and little else."""

    unknown = ("aminmax", "double", "numpy", "to_mkldnn", "norm", "addmm", "addcmul", "__getitem__")

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.__name__ in cls.unknown:
            raise NotImplementedError(f"Choosy has no {function.__name__}")
        return super().__torch_function__(function, types, args, kwargs or {})


class Refusing(Tensor):
    """It knows nothing."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError("Refusing has no such function")


class Wrapper(Tensor):
    """As torchao's: the class answers every operation from tensors inside it, and has no memory itself."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Wrapper:
        made = Tensor._make_wrapper_subclass(cls, inner.shape, dtype=torch.float32)
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (torch.ops.aten.detach.default, torch.ops.aten.alias.default):
            return return_and_correct_aliasing(function, args, kwargs or {}, Wrapper(args[0].inner))
        raise NotImplementedError(f"Wrapper has no {function}")


def telling(kind: type, data: Tensor, shape: torch.Size) -> Tensor:
    made = data.as_subclass(kind)
    made.told = shape
    return made


def keep(model: ModelPatcher, how: Callable[[Tensor], Tensor]) -> ModelPatcher:
    """The model with its keys and values kept in another way."""
    for name in projections(model):
        layer = model.model.get_submodule(name.removesuffix(".weight"))
        kept = how(layer.weight.detach())
        whole = isinstance(kept, Refusing)  # no Parameter can be made of it
        layer._parameters["weight"] = kept if whole else torch.nn.Parameter(kept, requires_grad=False)
    return model


def made(how: Callable[[Tensor], Tensor]) -> ModelPatcher:
    """A model whose keys and values are kept in some way, the rest in the precision that these have."""
    dtype = how(torch.zeros(2, 2)).dtype
    return keep(unet(dtype=dtype if dtype in (torch.float16, torch.bfloat16) else torch.float32), how)


GIVING: dict[str, Callable[[Tensor], Tensor]] = {
    "a bare class": lambda w: w.as_subclass(Kept),
    "a class that tells a shape": lambda w: telling(Loaders, w.clone(), w.shape),
    "fp16": lambda w: telling(Loaders, w.half(), w.shape),
    "bf16": lambda w: w.bfloat16().as_subclass(Kept),
    "a class that could dequantise": lambda w: telling(Dequantizing, w.clone(), w.shape),
    "a class that knows little": lambda w: w.as_subclass(Choosy),
}
KEEPING: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "packed": (
        lambda w: telling(Loaders, torch.zeros(len(w), 34, dtype=torch.uint8), w.shape),
        "attn2.*quantised or packed .Loaders, torch.uint8.*fp16, bf16 or fp32",
    ),
    "bf16 as bytes": (
        lambda w: telling(Loaders, w.bfloat16().view(torch.uint8), w.shape),
        "attn2.*quantised or packed .Loaders, torch.uint8",
    ),
    "packed, dequantised to another shape": (
        lambda w: telling(Miscounting, torch.zeros(len(w), 34, dtype=torch.uint8), w.shape),
        r"attn2.*kept as Miscounting.*dequantised to \(\d+, 34\)",
    ),
    "another shape than told": (
        lambda w: telling(Loaders, w.flatten(), w.shape),
        r"attn2.*kept as Loaders.*it is \(\d+, 24\) and holds \(\d+,\) values",
    ),
    "a wrapper": (
        lambda w: Wrapper(w.char()),
        "(attn2.*kept as Wrapper.*other tensors|cannot be listed).*fp16, bf16 or fp32",
    ),
    "a class that knows nothing": (lambda w: Tensor._make_subclass(Refusing, w), "cannot be listed .NotImplemented"),
    "without values": (lambda w: w.to("meta"), "attn2.*has no values"),
    "sparse": (lambda w: w.to_sparse(), "attn2.*kept as torch.sparse"),
}


def plain_like(how: Callable[[Tensor], Tensor]) -> ModelPatcher:
    """The same model with plain weights of the same precision."""
    return made(lambda w: Tensor.as_subclass(how(w), Tensor).clone())


def settled(node: Any, **inputs: Any) -> Any:
    """A node's results, computed as the host does."""
    with torch.inference_mode():
        return node.EXECUTE_NORMALIZED(**inputs).result


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ComfyUI's output folder."""
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("how", GIVING.values(), ids=GIVING)
def test_nodes_do_with_them_what_they_do_with_plain_ones(
    how: Callable[[Tensor], Tensor], clip: comfy.sd.CLIP, output: Path
) -> None:
    results = []
    for model in (made(how), plain_like(how)):
        edited, edit, report = settled(EraseConcepts, model=model, clip=clip, concepts="cat -> dog")
        again = settled(ApplyEdit, model=model, edit=edit, strength=0.5)[0]
        merged, _, _ = settled(MergeEdits, model=model, edits={"edit_1": edit})
        exported = settled(ExportEdit, model=model, edit=edit, format="diff")[0]
        figures = [line for line in report.splitlines() if "econd" not in line]
        results.append((edit, figures, exported.partition("\n")[2], [answer(m) for m in (edited, again, merged)]))
    (first, said, told, pictures), (second, said_plain, told_plain, pictures_plain) = results
    assert first.fingerprint == second.fingerprint and first.payload.same_as(second.payload)
    assert said == said_plain and told == told_plain
    for mine, its in zip(pictures, pictures_plain, strict=True):
        assert torch.equal(torch.Tensor.as_subclass(mine, Tensor), its)
    files = [comfy.utils.load_torch_file(str(path)) for path in sorted(output.rglob("*.safetensors"))]
    assert models.same(*files)


@pytest.mark.parametrize("how", GIVING.values(), ids=GIVING)
@pytest.mark.parametrize("lowvram", [False, True])
def test_the_model_computes_with_the_edited_weights(how: Callable[[Tensor], Tensor], lowvram: bool, edit: Edit) -> None:
    model = made(how)
    originals = projections(plain_like(how))
    with loaded(apply_edit(model, edit, 0.7), lowvram=lowvram) as network:
        for name, weight in originals.items():
            expected = weight.float() + 0.7 * edit.delta(name, weight)
            found = Tensor.as_subclass(projection(network, name), Tensor).float()
            atol = 1e-6 if weight.dtype == torch.float32 else 2 * torch.finfo(weight.dtype).eps
            torch.testing.assert_close(found, expected, rtol=0, atol=atol)
    after = HostProjections(model)
    for name, weight in originals.items():  # and nothing was written to them
        assert torch.equal(after.read(name, CPU), weight.float())


@pytest.mark.parametrize("how", GIVING.values(), ids=GIVING)
def test_the_patch_gives_the_class_that_a_lora_gives(how: Callable[[Tensor], Tensor], edit: Edit) -> None:
    """A loader's own patcher hands the host what it has dequantised, at run time."""
    model = made(how)
    changed = apply_edit(model, edit, 1.0), models.with_lora(model, models.lora(unet(), seed=5), 1.0)
    for name, weight in projections(plain_like(how)).items():
        found = [
            comfy.lora.calculate_weight(m.patches[name], how(weight).to(torch.float32, copy=True), name)
            for m in changed
        ]
        assert type(found[0]) is type(found[1])
        expected = weight.float() + edit.delta(name, weight)
        torch.testing.assert_close(Tensor.as_subclass(found[0], Tensor), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("how", "said"), KEEPING.values(), ids=KEEPING)
def test_others_are_refused_in_words_by_every_node(
    how: Callable[[Tensor], Tensor], said: str, clip: comfy.sd.CLIP, edit: Edit, output: Path
) -> None:
    model = keep(unet(), how)
    inputs: list[tuple[Any, dict[str, Any]]] = [
        (EraseConcepts, {"clip": clip, "concepts": "cat"}), (ApplyEdit, {"edit": edit, "strength": 1.0}),
        (MergeEdits, {"edits": {"edit_1": edit}}), (ExportEdit, {"edit": edit, "format": "lora"}),
    ]  # fmt: skip
    for node, more in inputs:
        with pytest.raises(ScaPreError, match=rf"^model: .*{said}"):
            settled(node, model=model, **more)
    assert model.patches == {} and not list(output.rglob("*"))


@pytest.mark.parametrize("how", GIVING.values(), ids=GIVING)
def test_a_model_merged_into_another_may_keep_them(how: Callable[[Tensor], Tensor], clip: comfy.sd.CLIP) -> None:
    merged, plain = (
        merging.ModelMergeSimple().merge(unet(seed=1), model, 0.25)[0] for model in (made(how), plain_like(how))
    )
    for name in projections(unet()):
        found, expected = (HostProjections(m).read(name, CPU) for m in (merged, plain))
        assert type(found) is Tensor and torch.equal(found, expected)
    assert models.solve(merged, clip).fingerprint == models.solve(plain, clip).fingerprint


@pytest.mark.parametrize("kind", ["packed", "a wrapper", "another shape than told", "without values"])
def test_a_merged_model_that_does_not_give_its_values_is_refused_in_words(kind: str, clip: comfy.sd.CLIP) -> None:
    how, said = KEEPING[kind]
    merged = merging.ModelMergeSimple().merge(unet(), keep(unet(seed=1), how), 0.5)[0]
    with pytest.raises(ScaPreError, match=f"^model: .*{said}"):
        models.solve(merged, clip)


def test_a_wrapper_is_refused_for_what_it_is() -> None:
    model = keep(unet(), KEEPING["a wrapper"][0])
    for act in (lambda found, name: found.read(name, CPU), lambda found, name: found.shapes([name])):
        with pytest.raises(ScaPreError, match=r"attn2.*kept as Wrapper.*other tensors.*fp16, bf16 or fp32"):
            found = HostProjections(model)
            act(found, next(name for name, role in found.roles.items() if role.reads_text))
