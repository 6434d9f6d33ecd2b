"""The text encoder of a model: the one in its checkpoint, or what is given in files of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..errors import ScaPreError, shorten
from ..families import Context, Files, TextEncoder, contexts, of_vectors, padding, text_encoder
from ..families.contexts import Read
from ..states.context import ContextEncoder
from ..states.encoder import Encoder
from ..states.pooled import PooledEncoder
from ..states.readings import TwoReadings
from ..states.tokens import Tokenise
from .adapted import AdaptedEncoder, Adapter
from .bert import BertCutter, BertEncoder, bert_pieces
from .clip_files import clip_from_files, clip_name, what_encoder
from .encoder import CheckpointEncoder
from .pieces import own_pieces, t5_pieces
from .qwen3 import Qwen3, qwen_pieces, qwen_prefix
from .sentences import SentenceCutter, SentenceEncoder, VectorsBeside
from .t5_file import T5File, t5_prefix
from .t5_files import INSIDE, OPTION, pieces_of, t5_file, wanted_file
from .tensor_file import TensorFile
from .tokenizer import Tokenizer
from .towers import TOWERS

_BERT, _MT5 = f"{INSIDE}hydit_clip.transformer.bert.", f"{INSIDE}mt5xl."


@dataclass(frozen=True)
class Source:
    """Where a model's text encoders are.

    Attributes:
        family: Title of the model's family.
        inside: The checkpoint.
        others: Files of text encoders; with none, the checkpoint must hold its own.
        own: Reads the model's own weights.
        any_of: Reads any tensor of the checkpoint.
        vocabulary: Folder of CLIP's, T5's or BERT's vocabulary; None looks for one.
    """

    family: str
    inside: TensorFile
    others: Sequence[TensorFile]
    own: Read
    any_of: Read
    vocabulary: Path | None

    @property
    def wanted(self) -> TextEncoder:
        """What reads the family's prompts."""
        return text_encoder(self.family)

    @cached_property
    def contexts(self) -> tuple[Context | None, Context | None]:
        """What lies between the encoders' states and the projections."""
        return contexts(self.family, self.own)

    def clip(self, files: Sequence[TensorFile], width: int = 0) -> CheckpointEncoder:
        """CLIP, from files or from the checkpoint; see `CheckpointEncoder` for the width."""
        towers, cut = TOWERS[self.family], Tokenizer(self.vocabulary)
        if files:
            return clip_from_files(files, towers, self.family, cut, width)
        return CheckpointEncoder(self.inside.entries, self.any_of, cut, towers, width)

    def clip_beside(self, files: Sequence[TensorFile], width: int = 0) -> CheckpointEncoder:
        """The same beside T5, with a word of what is missing."""
        names = " and ".join(clip_name(tower) for tower in TOWERS[self.family])
        there = any(name.startswith(TOWERS[self.family][0].prefixes) for name in self.inside.entries)
        if not files and not there:
            raise ScaPreError(
                f"{OPTION}: {self.family} models also read {names}, and neither the checkpoint nor a file has it. Give "
                f"{OPTION} once for each file."
            )
        return self.clip(files, width)

    def t5(self, files: Sequence[TensorFile]) -> tuple[T5File, SentenceCutter]:
        """T5, from a file or from the checkpoint, and what cuts texts for it."""
        file = t5_file(self.family, self.inside, files)
        return file, SentenceCutter(pieces_of(file, self.vocabulary))

    def parted(self) -> tuple[list[TensorFile], list[TensorFile]]:
        """The files of T5, and the others."""
        found: tuple[list[TensorFile], list[TensorFile]] = [], []
        for file in self.others:
            found[t5_prefix(file) is None].append(file)
        return found


def _clip(source: Source) -> Encoder:
    encoder = source.clip(source.others)
    return PooledEncoder(encoder, encoder.pooled) if of_vectors(source.family) else encoder


def _sentences(source: Source) -> Encoder:
    file, cut = source.t5(source.others)
    leads, _ = source.contexts
    width = file.shape(file.embeddings)[1]
    if leads and leads.width != width:
        raise ScaPreError(
            f"{file.where} gives states of width {width:,}, and this {source.family} model takes {leads.width:,}. Give "
            f"{wanted_file(source.wanted)}."
        )
    sentences = SentenceEncoder(file, cut, source.wanted)
    return ContextEncoder(sentences, leads) if leads else sentences


def _with_vectors(source: Source) -> Encoder:
    sentences, clips = source.parted()
    return VectorsBeside(*source.t5(sentences), source.wanted, lambda: source.clip_beside(clips))


def _clip_and_sentences(source: Source) -> Encoder:
    sentences, clips = source.parted()
    width = source.own("diffusion_model.context_embedder.weight").shape[1]
    clip = source.clip_beside(clips, width)
    if not sentences and t5_prefix(source.inside, INSIDE) is None:  # SD3 is drawn with without T5, too
        return clip
    file, cut = source.t5(sentences)
    found = file.shape(file.embeddings)[1]
    if found != width:
        raise ScaPreError(
            f"{file.where} gives states of width {found:,}, and this {source.family} model takes {width:,}. Give "
            f"{wanted_file(source.wanted)}."
        )
    return TwoReadings(clip, SentenceEncoder(file, cut, source.wanted))


def _bert_and_sentences(source: Source) -> Encoder:
    if source.others:
        raise ScaPreError(
            f"{OPTION}: the text encoders of {source.family} models are read from the checkpoint. Leave the option out."
        )
    prefix = t5_prefix(source.inside, _MT5)
    vocabulary = f"{_MT5}spiece_model"
    if prefix is None or vocabulary not in source.inside.entries:
        raise ScaPreError(
            f"checkpoint: {shorten(source.inside.path.name)} has no mT5 with its vocabulary in it ({_MT5}…), and "
            f"{source.family} models read {source.wanted.title}. Give the checkpoint that ComfyUI's examples name."
        )
    bert = BertEncoder(source.inside, _BERT, BertCutter(bert_pieces(source.vocabulary)))
    cut = SentenceCutter(own_pieces(source.inside.read(vocabulary)))
    sentences = SentenceEncoder(T5File(source.inside, prefix), cut, source.wanted)
    leads = source.contexts[1]
    second = ContextEncoder(sentences, leads) if leads else sentences
    return TwoReadings(bert, second, padding(source.family, source.own))


def _through_network(source: Source) -> Encoder:
    if len(source.others) > 1:
        raise ScaPreError(
            f"{OPTION}: a {source.family} model reads one text encoder, and {len(source.others)} files were given. "
            f"Give the file of {source.wanted.title} alone."
        )
    file = source.others[0] if source.others else source.inside
    prefix = qwen_prefix(file)
    if prefix is None:
        name = shorten(file.path.name)
        told = f"{OPTION}: {name} is {what_encoder(file)}" if source.others else f"checkpoint: {name} has no encoder"
        raise ScaPreError(
            f"{told}, and {source.family} models read {source.wanted.title}. Give {OPTION} its file, such as "
            "qwen_3_06b_base.safetensors."
        )
    mark = re.compile(r".*llm_adapter\.blocks\.(\d+)\.mlp\.0\.weight")
    blocks = sum(bool(mark.fullmatch(name)) for name in source.inside.entries)
    cut = SentenceCutter(t5_pieces(None))
    return AdaptedEncoder(Qwen3(file, prefix), Adapter(source.own, blocks), cut, qwen_pieces(source.vocabulary))


# By how a family's encoders lie in files.
BUILDERS: Mapping[Files, Callable[[Source], Encoder]] = {
    Files.CLIP: _clip,
    Files.T5: _sentences,
    Files.T5_WITH_VECTORS: _with_vectors,
    Files.CLIP_AND_T5: _clip_and_sentences,
    Files.BERT_AND_T5: _bert_and_sentences,
    Files.NETWORK: _through_network,
}


def encoder_of(source: Source) -> Encoder:
    """The text encoder of a model, as its projections read it.

    Raises:
        ScaPreError: If there is no text encoder, or another than the model's, or its vocabulary is missing, or what
            leads from it to the projections.
    """
    wanted = source.wanted
    if wanted.files not in BUILDERS:
        raise ScaPreError(
            f"checkpoint: {source.family} models read {wanted.title}, which only ComfyUI runs. Erase there, save the "
            "edit, and export, merge or verify it here."
        )
    return BUILDERS[wanted.files](source)


def tokens_of(source: Source) -> Tokenise:
    """What cuts names into the tokens of a family's text encoder: of two, those of the first.

    Raises:
        ScaPreError: If the vocabulary is missing.
    """
    wanted = source.wanted
    if wanted.is_clip:
        return Tokenizer(source.vocabulary)
    if wanted.files is Files.BERT_AND_T5:
        return BertCutter(bert_pieces(source.vocabulary))
    if wanted.files not in BUILDERS:
        raise ScaPreError(f"checkpoint: the tokens of {wanted.title} cannot be told here.")
    if wanted.by_layer:
        return source.t5(source.others)[1]
    return SentenceCutter(t5_pieces(source.vocabulary))
