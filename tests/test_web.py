"""What the page loads: small, plain modules that keep to themselves, and words in both languages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pack import dev
from pack.benchmarks import page

ROOT = Path(dev.__file__).parent
WEB = ROOT / "web"
MODULES = {file.relative_to(WEB).as_posix(): file for file in sorted([*WEB.rglob("*.js"), *WEB.rglob("*.mjs")])}
START = "scapre.js"
SHEETS = {file.relative_to(WEB).as_posix(): file for file in sorted(WEB.rglob("*.css"))}
FEATURES = sorted(file.parent.name for file in WEB.glob("*/*.mjs") if file.stem == file.parent.name)
PLAIN = {"method"}  # it decides what a workflow means: without words of its own, and not to be switched off
LANGUAGES = ("en", "zh")
WEIGHT = 78_200
SETTING = re.compile(r'"(ScaPre\.\w+)"')
FORBIDDEN = {
    r"\b(inner|outer|insertAdjacent)HTML\b|\bdocument\.write|\bcreateContextualFragment\b": "names come from strangers",
    r"\beval\b|\bFunction\(|set(Timeout|Interval)\(\s*[\"'`]": "text is not run",
    r"[\"'`](https?:)?//(?!www\.w3\.org/)": "no other server is asked",
    r"\b(window|globalThis|self)\.\w+\s*=[^=]": "nothing is global",
    r"\bconsole\.(log|debug|info)\b": "the console is for errors",
    r"(?<![.\w])import\((?!\)|new URL\(`\$\{MODULES\}\$)": "only the start loads more, and only features",
}
every_module = pytest.mark.parametrize("name", MODULES)
every_feature = pytest.mark.parametrize("feature", [feature for feature in FEATURES if feature not in PLAIN])


def code_of(name: str) -> str:
    """A module without its comments."""
    text = MODULES[name].read_text(encoding="utf-8")
    return re.sub(r"/\*.*?\*/|(?<![:\"'])//[^\n]*", "", text, flags=re.DOTALL)


def literal(text: str) -> Any:
    """Reads an object of plain strings as JavaScript writes it."""
    pieces = re.findall(r'"(?:[^"\\]|\\.)*"|\w+|[{}:,]|[^\s]', text)
    plain = "".join(json.dumps(piece) if re.fullmatch(r"\w+", piece) else piece for piece in pieces)
    return json.loads(re.sub(r",(?=})", "", plain))


def words_of(feature: str) -> dict[str, dict[str, str]]:
    """The table of words of a feature, by language."""
    text = code_of(f"{feature}/words.mjs")
    (table,) = re.findall(r"export const WORDS = ({.*});\s*$", text, re.DOTALL)
    return literal(table)


def placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"\{(\w+)\}", text))


def test_there_is_something_to_look_at() -> None:
    assert {START, "dom.mjs", "words.mjs"} < set(MODULES) and len(FEATURES) == 5 and set(FEATURES) >= PLAIN
    assert literal('{ a: "1, {n}: x", b: { c: "\\"" }, }') == {"a": "1, {n}: x", "b": {"c": '"'}}


def test_the_page_starts_with_one_small_script() -> None:
    assert [name for name in MODULES if name.endswith(".js")] == [START]
    assert MODULES[START].stat().st_size < 4_000
    assert re.findall(r'^import .*"(.*)";$', code_of(START), re.MULTILINE) == ["../../scripts/app.js"]


def test_what_follows_is_every_feature() -> None:
    code = code_of(START)
    assert re.findall(r'folder: "(\w+)"', code) == FEATURES
    hooks = set(re.findall(r'\bcall\("(\w+)"', code))
    for feature in FEATURES:
        exported = re.findall(r"^export (?:function|const) (\w+)", code_of(f"{feature}/{feature}.mjs"), re.MULTILINE)
        assert exported and set(exported) <= hooks


def test_the_page_loads_little() -> None:
    weights = {name: file.stat().st_size for name, file in MODULES.items()}
    assert sum(weights.values()) <= WEIGHT, sorted(weights.items(), key=lambda pair: -pair[1])


def test_the_measured_weight_is_that_of_the_files() -> None:
    whole = sum(file.stat().st_size for file in MODULES.values())
    assert re.search(rf"all +script +{whole} bytes$", page.weights())


def test_the_measured_difference_is_between_visits_of_one_round() -> None:
    drift = [100 * number for number in range(5)]  # of the machine, which is no difference
    rows = [
        {"pack": pack, **dict.fromkeys(page.FIGURES, time + (7 if pack == "on" else 0))}
        for time in drift
        for pack in ("on", "off")
    ]
    assert page.table(rows).count("| +7 (+7 to +7) |") == len(page.FIGURES)


@every_module
def test_a_module_is_short_and_checked(name: str) -> None:
    lines = MODULES[name].read_text(encoding="utf-8").splitlines()
    assert lines[0] == "// @ts-check"
    assert len(lines) <= 150


@every_module
def test_a_module_keeps_to_itself(name: str) -> None:
    code = code_of(name)
    assert {why: found for pattern, why in FORBIDDEN.items() if (found := re.findall(pattern, code))} == {}


@every_module
def test_a_module_imports_its_neighbours_and_what_the_frontend_offers(name: str) -> None:
    folder = MODULES[name].parent
    # What the page starts with is served from /extensions/<folder>/, and the rest from /api/scapre/web/.
    up = "../" * (len(folder.relative_to(WEB).parts) + (2 if name == START else 3))
    for imported in re.findall(r'^(?:(?:import|export)\b[^;"]*\bfrom|import)\s+"([^"]+)"', code_of(name), re.MULTILINE):
        if imported in (f"{up}scripts/app.js", f"{up}scripts/api.js"):
            continue
        assert imported.startswith("."), imported
        target = (folder / imported).resolve()
        assert target.is_file() and WEB.resolve() in target.parents, imported


@pytest.mark.parametrize("name", SHEETS)
def test_a_stylesheet_loads_nothing_and_touches_only_our_elements(name: str) -> None:
    text = re.sub(r"/\*.*?\*/", "", SHEETS[name].read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "@import" not in text and "url(" not in text
    selectors = [one.strip() for rule in outermost(text) for one in re.split(r",(?![^(]*\))", rule)]
    assert selectors
    assert [one for one in selectors if ".scapre" not in one and not re.match(r"@media|@keyframes scapre", one)] == []


def outermost(sheet: str) -> list[str]:
    """What stands before each brace that is in no other."""
    found, depth, start = [], 0, 0
    for index, letter in enumerate(sheet):
        if letter == "{":
            if depth == 0:
                found.append(sheet[start:index].strip())
            depth += 1
        elif letter == "}":
            depth, start = depth - 1, index + 1
    return found


@every_feature
def test_a_feature_has_the_switch_that_the_start_gives_it(feature: str) -> None:
    code = "".join(code_of(name) for name in MODULES if name.startswith(f"{feature}/"))
    (switch,) = set(SETTING.findall(code))
    assert re.search(rf'folder: "{feature}",\s*id: "{switch}"', code_of(START))


@every_feature
def test_words_are_the_same_in_every_language(feature: str) -> None:
    table = words_of(feature)
    assert tuple(table) == LANGUAGES
    english, chinese = (table[language] for language in LANGUAGES)
    assert list(chinese) == list(english)
    assert all(text.strip() for language in LANGUAGES for text in table[language].values())
    assert {key: placeholders(text) for key, text in chinese.items()} == {
        key: placeholders(text) for key, text in english.items()
    }


@every_feature
def test_words_are_there_and_used(feature: str) -> None:
    code = "".join(code_of(name) for name in MODULES if name.startswith(f"{feature}/") and "words" not in name)
    known = set(words_of(feature)["en"])
    assert set(re.findall(r'\bsay\(\s*"(\w+)"', code)) <= known


def test_settings_are_described_in_every_language() -> None:
    settings = {found for name in MODULES for found in SETTING.findall(code_of(name))}
    assert len(settings) == len(FEATURES) - len(PLAIN)
    for language in LANGUAGES:
        described = json.loads((ROOT / "locales" / language / "settings.json").read_text(encoding="utf-8"))
        assert set(described) == {setting.replace(".", "_") for setting in settings}
        assert all(set(entry) == {"name", "tooltip"} and all(entry.values()) for entry in described.values())
