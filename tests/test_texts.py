"""What people read (tooltips, translations, help pages, the README), held against the code that it describes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from comfy_api.latest import io
from PIL import Image

from pack import dev
from pack.nodes import NODES
from pack.nodes.concept_list import ConceptList
from pack.nodes.inputs.types import CATEGORY
from pack.scapre.families import FAMILIES
from pack.scapre.methods import FIRST, METHODS, closed_forms
from pack.scapre.methods.fia.prompts import SETTINGS
from pack.scapre.methods.scapre.settings import PRESETS
from pack.scapre.methods.settings import declared
from pack.scapre.states.prompts import TEMPLATES

ROOT = Path(__file__).parents[1]
DOCS, LOCALES = ROOT / "web" / "docs", ROOT / "locales"
SCHEMAS: dict[str, io.Schema] = {schema.node_id: schema for schema in (node.GET_SCHEMA() for node in NODES)}
LANGUAGES = sorted(folder.name for folder in LOCALES.iterdir())
ERASE, LIST, NEURONS, UNLEARN = "ScaPreEraseConcepts", "ScaPreConceptList", "ScaPreEraseNeurons", "ScaPreUnlearn"


def drawn(settings: Any) -> tuple[str, ...]:
    """The prompts of a preset of Erase Neurons."""
    setting = SETTINGS[settings.kind]
    return (setting.base, *setting.wordings)


def trained(settings: Any) -> tuple[str, ...]:
    """The key steps of a preset of Unlearn Concepts."""
    return str(settings.first), str(settings.steps - 1)


METHOD_OF = {NEURONS: "fia", UNLEARN: "kscu"}
TOLD_OF_PRESETS: dict[str, Callable[[Any], tuple[str, ...]]] = {NEURONS: drawn, UNLEARN: trained}
CHOSEN_ON_THE_NODE = {
    NEURONS: {"sampler_name": "euler", "scheduler": "normal", "rounds": "1"},
    UNLEARN: {"scheduler": "normal"},
}
each_node_of_one_method = pytest.mark.parametrize("node", METHOD_OF)

each_node = pytest.mark.parametrize("node", SCHEMAS)
each_language = pytest.mark.parametrize("language", LANGUAGES)
each_translation = pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])


def translations(language: str, file: str = "nodeDefs") -> dict[str, Any]:
    return json.loads((LOCALES / language / f"{file}.json").read_text(encoding="utf-8"))


def texts_of(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        yield from texts_of(value, f"{path}/{key}") if isinstance(value, dict) else [(f"{path}/{key}", value)]


def help_file(node: str, language: str) -> Path:
    """The file that the frontend asks for first, and for English the one that every other language falls back to."""
    return DOCS / f"{node}.md" if language == "en" else DOCS / node / f"{language}.md"


def help_page(node: str, language: str) -> str:
    return help_file(node, language).read_text(encoding="utf-8")


PAGES_ON_ERASING = [ROOT / "README.md", *(help_file(ERASE, language) for language in LANGUAGES)]


def entries(page: str) -> list[tuple[str, str]]:
    """What opens with code, and the text on it: in a table's first two columns, or in a list, parted by a colon."""
    rows = re.findall(r"^[|*] (`[^`]+`[^|:\uff1a]*)[|:\uff1a] ?(.*)$", page, re.MULTILINE)
    return [(head.strip(), text.split(" | ")[0].strip("| ")) for head, text in rows]


def code_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


def as_shown(value: Any) -> str:
    return (
        ("off", "on")[value]
        if isinstance(value, bool)
        else (value or "empty")
        if isinstance(value, str)
        else f"{value:.9f}".rstrip("0").rstrip(".")
    )


def test_english_texts_are_those_of_the_nodes() -> None:
    expected = {
        node: {
            "display_name": schema.display_name,
            "description": schema.description,
            "inputs": {entry.id: {"name": entry.id, "tooltip": entry.tooltip} for entry in schema.inputs},
            "outputs": {
                str(index): {"name": entry.display_name, "tooltip": entry.tooltip}
                for index, entry in enumerate(schema.outputs)
            },
        }
        for node, schema in SCHEMAS.items()
    }
    assert dict(texts_of(translations("en"))) == dict(texts_of(expected))


@each_language
def test_every_text_is_there_and_nothing_else(language: str) -> None:
    for file in ("nodeDefs", "main"):
        texts = dict(texts_of(translations(language, file)))
        assert texts.keys() == dict(texts_of(translations("en", file))).keys()
        assert all(text and text == text.strip() for text in texts.values())


@each_translation
def test_translations_are_translated(language: str) -> None:
    english, texts = dict(texts_of(translations("en"))), dict(texts_of(translations(language)))
    assert [key for key, text in texts.items() if text == english[key]] == []


@each_language
def test_no_text_is_taken_for_message_syntax(language: str) -> None:
    texts = [*texts_of(translations(language)), *texts_of(translations(language, "main"))]
    assert [key for key, text in texts if re.search(r"[{}|@]", text)] == []


@each_language
def test_tooltip_of_the_preset_names_every_preset(language: str) -> None:
    tooltip = translations(language)[ERASE]["inputs"]["preset"]["tooltip"]
    assert [name for name in PRESETS if not re.search(rf"\b{name}(?![\w-])", tooltip)] == []


@each_language
def test_category_has_a_name(language: str) -> None:
    assert CATEGORY.split("/")[-1] in translations(language, "main")["nodeCategories"]


def test_every_help_page_belongs_to_a_node_and_a_language() -> None:
    expected = {help_file(node, language) for node in SCHEMAS for language in LANGUAGES}
    assert set(DOCS.rglob("*.md")) == expected


@each_language
@each_node
def test_help_page_is_titled_and_names_every_input_and_output(node: str, language: str) -> None:
    page, schema = help_page(node, language), SCHEMAS[node]
    assert page.splitlines()[0] == f"# {translations(language)[node]['display_name']}"
    described = {code_in(head)[0] for head, text in entries(page) if text}
    names = {entry.id for entry in schema.inputs} | {entry.display_name for entry in schema.outputs}
    assert names - described == set()


@each_translation
@each_node
def test_help_page_calls_inputs_what_the_node_calls_them(node: str, language: str) -> None:
    labels = {key: entry["name"] for key, entry in translations(language)[node]["inputs"].items()}
    heads = [head for head, _ in reversed(entries(help_page(node, language)))]  # inputs come first, and count
    shown = {code_in(head)[0]: head.split("`")[-1] for head in heads}
    assert [key for key, label in labels.items() if label != shown[key][1:-1]] == []


@pytest.mark.parametrize("file", PAGES_ON_ERASING)
def test_presets_are_described_as_they_are(file: Path) -> None:
    page = file.read_text(encoding="utf-8")
    described = dict(re.findall(r"^[|*] `([\w-]+)`(.*`(?:precise|scale)`(?:,| \|) .*)", page, re.MULTILINE))
    presets = json.loads((ROOT / "scapre" / "methods" / "scapre" / "presets.json").read_text(encoding="utf-8"))
    assert described.keys() == presets.keys()
    for name, preset in presets.items():
        settings = {key: as_shown(value) for key, value in preset["settings"].items()}
        assert f"`{settings.pop('variant')}`" in described[name]
        assert stated(described[name]) == settings
        assert "anchor" not in preset or f"`{preset['anchor']}`" in described[name]


def stated(text: str, *choices: str) -> dict[str, str]:
    """Settings that are named with a value, as in: `ridge` 0.5; or with one of some choices."""
    value = "|".join([r"\d+(?:\.\d+)?", "on", "off", *map(re.escape, choices)])
    return dict(re.findall(rf"`(\w+)` ({value})", text))


@each_language
@pytest.mark.parametrize("method", [name for name in closed_forms() if name != FIRST])
def test_help_page_describes_the_presets_of_every_method(method: str, language: str) -> None:
    solver, page = METHODS[method], help_page(ERASE, language)
    rows = re.findall(rf"^\| {method} \| `([\w-]+)` \| (.+) \| (.*)\|$", page, re.MULTILINE)
    if len(solver.presets) == 1:  # not offered, as there is nothing to choose
        assert not rows
        return
    assert [name for name, _, _ in rows] == list(solver.presets)
    for (_, use, sets), preset in zip(rows, solver.presets.values(), strict=True):
        usual = asdict(solver.settings())
        own = {key: as_shown(value) for key, value in asdict(preset.settings).items() if value != usual[key]}
        assert stated(sets) == own
        assert {*preset.concepts, preset.anchor} - {""} == set(code_in(use)) - {"anchor", "concepts"}


COMMON = {
    "templates": "none", "device": "auto", "pooled": "auto", "auto_strength": "off", "most_left": "0", "size": "0",
}  # fmt: skip
"""Advanced inputs of all methods, and what they are unless set."""


def chapters(language: str) -> dict[str, str]:
    """What the help page says of the advanced inputs: of all methods at "", and of each."""
    page = help_page(ERASE, language)
    advanced = page[page.index("* `templates`") :].split("\n## ")[0]
    common, *parts = re.split(r"^### `(\w+)`$", advanced, flags=re.MULTILINE)
    return {"": common, **dict(zip(parts[::2], parts[1::2], strict=True))}


@each_language
def test_help_page_tells_the_value_of_every_setting(language: str) -> None:
    told = {method: (entries(text), stated(text)) for method, text in chapters(language).items()}
    shown = {
        method: {code_in(head)[0]: re.findall(r"[\w.]+", text)[-1] for head, text in lines} | also
        for method, (lines, also) in told.items()
    }
    settings = {
        method: {setting.name: as_shown(setting.default) for setting in declared(solver.settings)}
        for method, solver in closed_forms().items()
    }
    assert shown == {"": COMMON, **settings}
    described = [code_in(head)[0] for lines, _ in told.values() for head, _ in lines]
    assert len(described) == len(set(described))  # each in one place


def test_english_help_page_says_of_a_setting_what_its_declaration_says() -> None:
    said = [line for text in chapters("en").values() for line in text.splitlines() if line.startswith("* ")]
    of_all = {
        f"* `{setting.name}`: {setting.about} ({as_shown(setting.default)})"
        for solver in closed_forms().values()
        for setting in declared(solver.settings)
    }
    common = tuple(f"* `{name}`" for name in COMMON)
    assert [line for line in said if line not in of_all and not line.startswith(common)] == []


@each_language
@each_node_of_one_method
def test_help_page_of_one_method_tells_its_presets(node: str, language: str) -> None:
    page, solver = help_page(node, language), METHODS[METHOD_OF[node]]
    choices = sorted((word for setting in declared(solver.settings) for word in setting.choices), key=len, reverse=True)
    rows = re.findall(r"^\| `([\w-]+)` \| .+ \| (.+) \| (.*)\|$", page, re.MULTILINE)
    assert [name for name, _, _ in rows] == list(solver.presets)
    for (_, told, sets), preset in zip(rows, solver.presets.values(), strict=True):
        usual = asdict(solver.settings()) | {"kind": getattr(preset.settings, "kind", "")}  # it is the preset's name
        values = {key: as_shown(value) for key, value in asdict(preset.settings).items()}
        own = {key for key, value in asdict(preset.settings).items() if value != usual[key]}
        said = stated(sets, *choices)
        assert own <= said.keys()
        assert said == {key: values[key] for key in said}
        assert all(part in told for part in TOLD_OF_PRESETS[node](preset.settings))


@each_language
@each_node_of_one_method
def test_help_page_of_one_method_tells_the_value_of_every_setting(node: str, language: str) -> None:
    solver = METHODS[METHOD_OF[node]]
    given = {setting.name: as_shown(setting.default) for setting in declared(solver.settings)}
    ends = [
        (code_in(head)[0], re.search(r"[(\uff08]([^()\uff08\uff09]+)[)\uff09]$", text))
        for head, text in entries(help_page(node, language))
    ]
    assert {name: found[1] for name, found in ends if found} == given | CHOSEN_ON_THE_NODE[node]


@each_language
def test_help_page_quotes_every_wording(language: str) -> None:
    page = help_page(ERASE, language)
    wordings = {wording.replace("{concept}", "…") for group in TEMPLATES.values() for wording in group} - {"…"}
    assert [wording for wording in wordings if wording not in page] == []


@each_language
def test_help_page_knows_the_bundled_lists_and_what_a_filter_leaves(language: str) -> None:
    shown = [(code_in(head)[0], text) for head, text in entries(help_page(LIST, language))]
    sources = next(entry for entry in SCHEMAS[LIST].inputs if entry.id == "source").options
    bundled = [source for source in sources if source.startswith("bundled: ")]
    assert [name for name, _ in shown if name.startswith("bundled: ")] == bundled
    examples = dict(shown[shown.index(("pa", "Pablo Picasso, Paul Cezanne")) - 1 :])
    assert len(examples) >= 3
    for words, left in examples.items():
        assert ConceptList.execute("bundled: painters", words).result == ("\n".join(left.split(", ")),)


@each_language
@each_node
def test_help_page_links_nowhere_within_the_server(node: str, language: str) -> None:
    # The frontend resolves pictures against web/docs in every language, and other relative links not at all.
    page = help_page(node, language)
    for picture, target in re.findall(r"(!?)\[[^\]]*\]\(([^)\s]+)\)", page):
        assert (DOCS / target).is_file() if picture else target.startswith("https://")


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "scapre_webui/README.md"])
def test_links_lead_somewhere(name: str) -> None:
    page = (ROOT / name).read_text(encoding="utf-8")
    headings = {f"#{found.lower().replace(' ', '-')}" for found in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}
    targets = [target for _, target in re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", page)]
    inside = [to for to in targets if not to.startswith("https://") and to not in headings]
    assert [to for to in inside if not ((ROOT / name).parent / to).is_file()] == []


def test_readme_names_files_that_exist() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:benchmarks|example_workflows|locales|nodes|scapre|tests|web)/[\w./-]*)`", page)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def shown_in_the_readme() -> list[str]:
    return re.findall(r"!\[[^]]*\]\((\S+\.png)\)", (ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", shown_in_the_readme())
def test_pictures_of_the_readme_carry_a_workflow_with_the_nodes_as_they_are(name: str) -> None:
    with Image.open(ROOT / name) as picture:
        workflow = json.loads(picture.info["workflow"])
    nodes = {node["type"]: node for node in workflow["nodes"] if node["type"].startswith("ScaPre")}
    assert ERASE in nodes
    for kind, node in nodes.items():
        widgets = [entry for entry in SCHEMAS[kind].inputs if isinstance(entry, io.WidgetInput)]
        controls = sum(bool(getattr(entry, "control_after_generate", None)) for entry in widgets)  # stand after a seed
        assert len(node["widgets_values"]) == len(widgets) + controls


def test_readme_is_short_and_names_commands_and_nodes_that_exist() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(page.splitlines()) < 200
    assert set(re.findall(r"python dev\.py (\w+)", page)) == set(dev.MODULES)
    for schema in SCHEMAS.values():
        assert f"**{schema.display_name}**" in page


@pytest.mark.parametrize("file", PAGES_ON_ERASING)
def test_every_family_is_named(file: Path) -> None:
    page = file.read_text(encoding="utf-8")
    assert [family.title for family in FAMILIES.values() if family.title not in page] == []


def test_changelog_has_the_version() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "([^"]+)"', project, re.MULTILINE)
    assert version
    assert f"## [{version[1]}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
