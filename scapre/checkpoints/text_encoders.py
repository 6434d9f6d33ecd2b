"""The text encoder of a model: the one in its checkpoint, or what is given in files of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ..errors import ScaPreError, shorten
from ..families import Files, of_vectors, padding
from ..families.chat import Chat
from ..states.context import ContextEncoder
from ..states.encoder import Encoder
from ..states.pooled import PooledEncoder
from ..states.readings import TwoReadings
from ..states.tokens import Tokenise
from .adapted import AdaptedEncoder, Adapter
from .bert import BertCutter, BertEncoder
from .chats import ChatCutter, ChatEncoder, VectorsBesideChat, chat_pieces
from .language_model import LanguageStates
from .layered import LayeredEncoder
from .pieces import BERT, QWEN, T5, own_pieces, pieces_in
from .sentences import SentenceCutter, SentenceEncoder, VectorsBeside
from .source import Source, holds_language_model, holds_t5
from .t5_file import T5File, t5_prefix
from .t5_files import INSIDE, OPTION, wanted_file
from .tokenizer import Tokenizer

_BERT, _MT5 = f"{INSIDE}hydit_clip.transformer.bert.", f"{INSIDE}mt5xl."


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
    sentences, clips = source.parted(holds_t5)
    return VectorsBeside(*source.t5(sentences), source.wanted, source.vectors(clips))


def _clip_and_sentences(source: Source) -> Encoder:
    sentences, clips = source.parted(holds_t5)
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
    bert = BertEncoder(source.inside, _BERT, BertCutter(pieces_in(BERT, source.vocabulary)))
    cut = SentenceCutter(own_pieces(source.inside.read(vocabulary)))
    sentences = SentenceEncoder(T5File(source.inside, prefix), cut, source.wanted)
    leads = source.contexts[1]
    second = ContextEncoder(sentences, leads) if leads else sentences
    return TwoReadings(bert, second, padding(source.family, source.own))


def _through_network(source: Source) -> Encoder:
    model = source.language_model(source.others, "Qwen3")
    mark = re.compile(r".*llm_adapter\.blocks\.(\d+)\.mlp\.0\.weight")
    blocks = sum(bool(mark.fullmatch(name)) for name in source.inside.entries)
    network, cut = Adapter(source.own, blocks), SentenceCutter(pieces_in(T5))
    return AdaptedEncoder(LanguageStates(model), network, cut, pieces_in(QWEN, source.vocabulary))


def _chat_of(source: Source) -> Chat:
    """How the family's language model is read."""
    if source.wanted.chat is None:
        raise TypeError("the family does not say how its language model is read")
    return source.wanted.chat


def _chat(source: Source) -> Encoder:
    chat, leads = _chat_of(source), source.contexts[0]
    beside = source.wanted.files is Files.CHAT_WITH_VECTORS
    chats, clips = source.parted(holds_language_model) if beside else (source.others, [])
    model = source.language_model(chats, chat.model)
    cut = ChatCutter(chat_pieces(chat.model, lambda: model, source.vocabulary), chat)
    encoder = VectorsBesideChat(model, cut, chat, source.vectors(clips)) if beside else ChatEncoder(model, cut, chat)
    takes = leads.width if leads else source.width
    if encoder.width != takes:
        raise ScaPreError(
            f"{model.file.field}: {shorten(model.file.path.name)} gives states of width {encoder.width:,}, and this "
            f"{source.family} model takes {takes:,}. Give the file of {source.wanted.title} that belongs to it."
        )
    return ContextEncoder(encoder, leads) if leads else encoder


def _layers(source: Source) -> Encoder:
    chat = _chat_of(source)
    chats, others = source.parted(holds_language_model)
    sentences = [file for file in others if holds_t5(file)]
    clips = [file for file in others if file not in sentences]
    model = source.language_model(chats, chat.model)
    file, cut = source.t5(sentences)
    for where, width in (
        (file.where, file.shape(file.embeddings)[1]),
        (f"{model.file.field}: {shorten(model.file.path.name)}", model.width),
    ):
        if width != source.width:
            raise ScaPreError(
                f"{where} gives states of width {width:,}, and this {source.family} model takes {source.width:,}. Give "
                f"the files of {source.wanted.title}."
            )
    chat_cut = ChatCutter(chat_pieces(chat.model, lambda: model, source.vocabulary), chat)
    return LayeredEncoder(file, cut, source.wanted, source.vectors(clips), model, chat_cut, chat)


# By how a family's encoders lie in files.
BUILDERS: Mapping[Files, Callable[[Source], Encoder]] = {
    Files.CLIP: _clip,
    Files.T5: _sentences,
    Files.T5_WITH_VECTORS: _with_vectors,
    Files.CLIP_AND_T5: _clip_and_sentences,
    Files.BERT_AND_T5: _bert_and_sentences,
    Files.NETWORK: _through_network,
    Files.CHAT: _chat,
    Files.CHAT_WITH_VECTORS: _chat,
    Files.LAYERS: _layers,
}


def encoder_of(source: Source) -> Encoder:
    """The text encoder of a model, as its projections read it.

    Raises:
        ScaPreError: If there is no text encoder, or another than the model's, or its vocabulary is missing, or what
            leads from it to the projections.
    """
    return BUILDERS[source.wanted.files](source)


def tokens_of(source: Source) -> Tokenise:
    """What cuts names into the tokens of a family's text encoder: of two, those of the first.

    Raises:
        ScaPreError: If the vocabulary is missing, or files were given of which one is no text encoder of the family.
    """
    wanted = source.wanted
    if source.others:
        encoder_of(source)
    if wanted.is_clip:
        return Tokenizer(source.vocabulary)
    if wanted.files is Files.BERT_AND_T5:
        return BertCutter(pieces_in(BERT, source.vocabulary))
    if wanted.files is Files.LAYERS:
        return source.t5_cutter()
    if wanted.by_layer:
        return source.t5(source.others)[1]
    if chat := wanted.chat:
        chats = [file for file in source.others if holds_language_model(file)]
        pieces = chat_pieces(chat.model, lambda: source.language_model(chats, chat.model), source.vocabulary)
        return ChatCutter(pieces, chat)
    return source.t5_cutter()
