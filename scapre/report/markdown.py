"""The data of a report as Markdown that reads well as plain text, too: numbers in columns first, names last."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from .conflicts import Conflicts
from .data import LETTERS, BlockRow, ConceptRow, ReportData, changed_kinds

_PAIRS = 40  # of concepts that lie close to each other
_LONG = 20  # rows, beyond which a table is summed up above it
_ERASED = (
    "kept: share of the old answer, 1 = untouched, below 0 = turned round. remaining: 0 = answers as its anchor, "
    "1 = untouched."
)
_TRAINED = "remaining: 1 = as before training, 0 = where the concept should go; what the last iterations have left."
_KIN = " Where kin are the anchor, it is the part of the way to them that is left, and 0 also beyond them."
_CUT = (
    "answering: weights that answer the name more than everyday words, at most as many as neuron_ratio allows. "
    "cut: how many of them a strength of 1 sets to zero."
)
_DRIFT = "How far the answers of anchors, preserved names and the empty prompt moved: 0 = untouched."
_WIDTH = 6  # of a number
Figure = Literal["kept", "remaining"]

# What would begin markup inside a line. An underscore within a word and an ampersand without a semicolon begin none.
_MARKUP = re.compile(
    r"[\\`*\[\]<~|]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)"
    r"|(?<=\w):(?=//)|(?<=\bwww)\.|(?<=\w)@(?=\w)",  # addresses, which are links as they are
    re.IGNORECASE,
)
_START = re.compile(r"^(?=[#>+=-])|^(\d+)(?=[.)])")


def render(data: ReportData) -> str:
    """The report of `report_data` as Markdown: headings and tables that no name can break."""
    parts = [f"# {escape(data['title'])}", *(_block(line) for line in data["lines"]), *_tables(data)]
    return "\n\n".join([*parts, "## Notes", "\n".join(f"* {_block(note)}" for note in data["notes"])])


def _tables(data: ReportData) -> Iterable[str]:
    seconds = data["seconds"]
    yield f"Seconds: {', '.join(f'{escape(stage)} {_number(value)}' for stage, value in seconds.items())}"
    yield "## Erased"
    if data["neurons"]:
        yield _CUT
        cut: list[Row] = [((row["answering"], row["cut"]), (row["name"], row["role"])) for row in data["neurons"]]
        yield table(("answering", "cut"), ("name", "role"), cut)
    else:
        yield from _answers(data)
    yield "## Relative change of the weights"
    yield _change(data["blocks"])
    kinds = changed_kinds(data["blocks"])
    rows = [(tuple(row[kind] for kind in kinds), (row["block"],)) for row in data["blocks"]]
    yield table([LETTERS[kind] for kind in kinds], ("layer",), rows)
    if data["conflicts"]:
        yield from _closest(data["conflicts"])


def _answers(data: ReportData) -> Iterable[str]:
    """How texts are answered now."""
    trained = not data["drift"]  # where texts are asked, the empty prompt is always among them
    kin = any(row["kin"] for row in data["concepts"])
    summed = _summed([(row["name"], row["remaining"]) for row in data["concepts"]], "remaining")
    yield (_TRAINED if trained else _ERASED) + (_KIN if kin else "") + summed
    figures: list[Figure] = ["remaining"] if trained else ["kept", "remaining"]
    erased: list[Row] = [
        (tuple(row[figure] for figure in figures), (row["name"], _anchor(row))) for row in data["concepts"]
    ]
    yield table(figures, ("concept", "anchor"), erased)
    if trained:
        return
    yield "## Drift of what should stay"
    yield _DRIFT + _summed([(row["name"], row["drift"]) for row in data["drift"]], "drift")
    yield table(("drift",), ("role", "name"), [((row["drift"],), (row["role"], row["name"])) for row in data["drift"]])


def _summed(rows: Sequence[tuple[str, float | None]], figure: str) -> str:
    """Mean and greatest of a figure where a table is too long to see them."""
    known = [(name, value) for name, value in rows if value is not None]
    if len(known) <= _LONG:
        return ""
    name, most = max(known, key=lambda row: row[1])
    mean = sum(value for _, value in known) / len(known)
    return f" {len(known):,} rows: mean {figure} {_number(mean)}, most {_number(most)} ({_cell(name)})."


def _anchor(row: ConceptRow) -> str:
    return "its kin" if row["kin"] else row["anchor"]


def _change(blocks: Sequence[BlockRow]) -> str:
    every = [row[kind] for kind in LETTERS for row in blocks]
    values = [value for value in every if value is not None]
    told = "How much of each key (K) and value (V) matrix is new"
    if any(row["rest"] is not None for row in blocks):
        told = "How much is new of keys (K), values (V), feed-forward outputs (F) and the rest of a layer (R)"
    elif any(row["output"] is not None for row in blocks):
        told = "How much of each output of a feed-forward layer (F) is new"
    if not values:
        return f"{told}."
    least, mean, most = (_number(value) for value in (min(values), sum(values) / len(values), max(values)))
    return f"{told}. {len(values)} matrices: least {least}, mean {mean}, most {most}."


def _closest(conflicts: Conflicts) -> Iterable[str]:
    names, cosines = conflicts["names"], conflicts["cosines"]
    pairs = [((cosines[i][j],), (names[i], names[j])) for i in range(len(names)) for j in range(i + 1, len(names))]
    pairs.sort(key=lambda pair: -pair[0][0])
    count = conflicts["of"] * (conflicts["of"] - 1) // 2
    some = f" The {_PAIRS} closest of {count:,} pairs." if count > _PAIRS else ""
    yield "## Concepts close to each other"
    yield f"Cosine of the concepts' vectors. The closer to 1, the more the edit of one touches the other.{some}"
    yield table(("cosine",), ("concept", "and"), pairs[:_PAIRS])


Row = tuple[Sequence[float | int | None], Sequence[str]]


def table(numbers: Sequence[str], texts: Sequence[str], rows: Iterable[Row]) -> str:
    """Numbers stand in columns of one width; what is right of them needs none."""
    width = max(_WIDTH, *map(len, numbers))

    def line(figures: Iterable[str], words: Iterable[str]) -> str:
        return "| " + " | ".join([*(figure.rjust(width) for figure in figures), *words]) + " |"

    rule = line(["-" * (width - 1) + ":"] * len(numbers), [":---"] * len(texts))
    body = [line(map(_number, figures), map(_cell, words)) for figures, words in rows]
    return "\n".join([line(numbers, texts), rule, *body])


def _cell(text: str) -> str:
    return escape(text) or "(empty prompt)"


def _number(value: float | int | None) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if value is None else f"{value:.3f}"


def escape(text: str) -> str:
    """A text on one line in which nothing is Markdown."""
    return _MARKUP.sub(lambda found: "\\" + found[0], " ".join(text.splitlines()).strip())


def _block(text: str) -> str:
    """The same for a text that begins a line, where a heading, a quote or a list could begin."""
    return _START.sub(lambda found: (found[1] or "") + "\\", escape(text))
