"""The command line: `python -m benchmarks.minicanvas COMMAND`."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..host.base import PACK_ROOT
from ..host.places import cache_folder, comfy_root

if TYPE_CHECKING:
    from .evaluate import Evaluation

RESULTS = PACK_ROOT / "benchmarks" / "results" / "minicanvas"
STUDIES = RESULTS / "studies"
Rows: TypeAlias = "list[Mapping[str, Any]]"
MODELS = ("unet", "dit")
_SPLIT: Any = {"choices": ("development", "held-out"), "default": "development", "help": "(%(default)s)"}
_MODEL = {"choices": MODELS, "default": MODELS[0], "help": "MiniCanvas, or MiniCanvas-DiT (%(default)s)"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parse(arguments)
    from . import inprocess  # needs torch, which --help must not

    try:
        inprocess.start_comfyui()
        return int(options.run(options))
    except (OSError, ValueError) as error:
        print(f"minicanvas: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nminicanvas: stopped; run it again to go on from here.", file=sys.stderr)
        return 130


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.minicanvas", description=__doc__.split(":")[0])
    commands = parser.add_subparsers(required=True)
    folder = cache_folder() / "minicanvas"

    add = commands.add_parser("build", help="write the checkpoint, or the files of MiniCanvas-DiT")
    add.add_argument("--out", type=Path, help="folder (ComfyUI's models/checkpoints; of the DiT: models)")
    add.add_argument("--model", **_MODEL)
    add.set_defaults(run=build)

    add = commands.add_parser("train", help="make the weights again, from nothing")
    add.add_argument("--minutes", type=float, default=math.inf, help="stop after so long; the next run goes on")
    add.add_argument("--folder", type=Path, default=folder / "training", help="where to work (%(default)s)")
    add.add_argument("--out", type=Path, help="where the weights go when they are finished (what ships)")
    add.add_argument("--model", **_MODEL)
    add.set_defaults(run=train)

    add = commands.add_parser("lora", help="make the LoRA of the tasks again")
    add.add_argument("--folder", type=Path, default=folder / "training", help="where to work (%(default)s)")
    add.add_argument("--out", type=Path, help="the file (what ships)")
    add.set_defaults(run=train_lora)

    add = commands.add_parser("pooled", help="train a UNet with a pooled vector, and count what comes through it")
    add.add_argument("--minutes", type=float, default=math.inf, help="stop after so long; the next run goes on")
    add.add_argument("--folder", type=Path, default=folder / "pooled", help="where to work (%(default)s)")
    add.add_argument("--out", type=Path, default=STUDIES / "pooled.json", help="the figures (%(default)s)")
    add.set_defaults(run=pooled)

    add = commands.add_parser("geometry", help="print how the text encoder's states lie to each other")
    add.set_defaults(run=geometry)

    add = commands.add_parser("accuracy", help="count what the model itself draws right")
    add.add_argument("--folder", type=Path, default=folder / "evaluation", help=argparse.SUPPRESS)
    add.add_argument("--count", type=int, default=256, help="prompts of each set (%(default)s)")
    add.add_argument("--model", **_MODEL)
    add.set_defaults(run=accuracy)

    add = commands.add_parser("thumbnails", help="draw the pictures of the example workflows again")
    add.add_argument("--folder", type=Path, default=folder / "evaluation", help=argparse.SUPPRESS)
    add.set_defaults(run=thumbnails)

    add = commands.add_parser("evaluate", help="count what methods erase and keep")
    add.add_argument("--method", nargs="+", default=[], help="none, precise, scale, or a preset's name")
    add.add_argument("--edit", type=Path, nargs="+", default=[], help="edit files, each asked about what it erases")
    add.add_argument("--quick", action="store_true", help="few tasks, few questions")
    add.add_argument("--model", **_MODEL)
    add.add_argument("--task", nargs="+", default=[], help="only tasks whose name contains one of these")
    add.add_argument("--folder", type=Path, default=folder / "evaluation", help="where pictures are kept (%(default)s)")
    add.add_argument(
        "--out",
        type=Path,
        help="folder for JSON and sheets (benchmarks/results; of some tasks: with the pictures)",
    )
    add.set_defaults(run=evaluate)

    add = commands.add_parser("curves", help="count over each method's own strength, and draw it")
    add.add_argument("--method", nargs="+", default=[], help="which methods (all)")
    add.add_argument("--split", **_SPLIT)
    add.add_argument("--folder", type=Path, default=folder / "evaluation", help=argparse.SUPPRESS)
    add.set_defaults(run=measure_curves)

    add = commands.add_parser("ratios", help="count over how much FIA cuts, and draw it")
    add.add_argument("--split", **_SPLIT)
    add.add_argument("--folder", type=Path, default=folder / "evaluation", help=argparse.SUPPRESS)
    add.set_defaults(run=measure_ratios)

    add = commands.add_parser("ablation", help="count what auto does with one part off at a time")
    add.add_argument("--folder", type=Path, default=folder / "evaluation", help=argparse.SUPPRESS)
    add.set_defaults(run=measure_parts)

    add = commands.add_parser("captured", help="count what edits of states caught inside MiniCanvas-DiT do")
    add.add_argument("--folder", type=Path, default=folder / "evaluation", help=argparse.SUPPRESS)
    add.set_defaults(run=measure_captured)

    add = commands.add_parser("probed", help="compare what the node Probe finds with what the judge has read")
    add.add_argument("--split", **_SPLIT)
    add.add_argument("--folder", type=Path, default=folder / "evaluation", help=argparse.SUPPRESS)
    add.set_defaults(run=measure_probed)

    add = commands.add_parser("probed-curves", help="compare it with the judge over strengths")
    add.add_argument("--split", **_SPLIT)
    add.add_argument("--folder", type=Path, default=folder / "evaluation", help=argparse.SUPPRESS)
    add.set_defaults(run=measure_probed_curves)

    add = commands.add_parser("attacked", help="count what attacks call up again after an edit")
    add.add_argument("--folder", type=Path, default=folder / "evaluation", help=argparse.SUPPRESS)
    add.set_defaults(run=measure_attacked)

    add = commands.add_parser("asked", help="compare the strength that a model asks for with 1")
    add.add_argument("--folder", type=Path, default=folder / "evaluation", help=argparse.SUPPRESS)
    add.set_defaults(run=measure_asked)
    return parser.parse_args(arguments)


def build(options: argparse.Namespace) -> int:
    """Write the checkpoint."""
    from . import checkpoint, separate

    began, models = time.monotonic(), comfy_root() / "models"
    if options.model == "dit":
        print(*separate.build(options.out or models), sep="\n")
    else:
        print(checkpoint.build(options.out or models / "checkpoints"))
    print(f"Built in {time.monotonic() - began:.1f} s.", file=sys.stderr)
    return 0


def train(options: argparse.Namespace) -> int:
    """Train until it is finished or the time is up."""
    from .train import Workshop

    shop, until = Workshop(options.folder), time.monotonic() + 60 * options.minutes
    finished = shop.train_transformer(until) if options.model == "dit" else shop.train(until)
    print(f"Trained so far: {shop.spent()}.", file=sys.stderr)
    if not finished:
        print("Not finished: run it again to go on from here.", file=sys.stderr)
        return 0
    (shop.ship_transformer if options.model == "dit" else shop.ship)(options.out or options.folder / "weights")
    print(options.out or options.folder / "weights")
    return 0


def pooled(options: argparse.Namespace) -> int:
    """Train the UNet with a pooled vector as far as time allows, and count when it is done."""
    from .pooled import study

    until = time.monotonic() + 60 * options.minutes
    return 0 if study(options.folder, options.out, until) else 2


def train_lora(options: argparse.Namespace) -> int:
    """Train the LoRA, and write it."""
    from . import checkpoint, lora

    lora.train(options.folder, options.out or checkpoint.LORA, math.inf)
    return 0


def geometry(options: argparse.Namespace) -> int:
    """Print the cosines between names."""
    from . import checkpoint, inprocess
    from .geometry import table

    print(table(inprocess.load_text_encoder(checkpoint.text_encoder())))
    return 0


def evaluation(folder: Path, model: str = "unet") -> Evaluation:
    """Load a model and its judge."""
    from . import checkpoint, inprocess, judge, separate
    from .evaluate import Evaluation

    seen = judge.load(checkpoint.JUDGE)
    if model == "dit":
        return Evaluation(inprocess.load_separate(separate.shipped()), seen, folder, separate.version())
    return Evaluation(inprocess.load(checkpoint.shipped()), seen, folder, checkpoint.version())


def accuracy(options: argparse.Namespace) -> int:
    """Print how much of what it is asked the model draws right."""
    from .accuracy import measure

    began = time.monotonic()
    found = measure(evaluation(options.folder, options.model), options.count)
    seconds = (time.monotonic() - began) / (len(found) * options.count)
    for name, shares in found.items():
        print(f"{name} ({options.count}): " + ", ".join(f"{domain} {share}" for domain, share in shares.items()))
    print(f"{seconds:.2f} s a picture, text encoding and judging included", file=sys.stderr)
    return 0


def thumbnails(options: argparse.Namespace) -> int:
    """Draw the pictures that the template browser shows."""
    from .thumbnails import draw

    print(*draw(evaluation(options.folder), PACK_ROOT / "example_workflows"), sep="\n")
    return 0


def evaluate(options: argparse.Namespace) -> int:
    """Ask every method all questions; write and print what came out."""
    from . import report, tasks
    from .evaluate import run
    from .methods import from_file, methods

    if not options.method and not options.edit:
        raise ValueError("nothing to evaluate: give --method or --edit")
    chosen = tasks.quick_tasks() if options.quick else tasks.all_tasks()
    if options.model == "dit":  # the LoRA that ships belongs to the UNet
        chosen = tuple(task for task in chosen if not task.lora)
    chosen = tuple(task for task in chosen if not options.task or any(word in task.name for word in options.task))
    if not chosen:
        raise ValueError(f"no task's name contains {' or '.join(options.task)}")
    jobs = [(name, settings, chosen) for name, settings in methods(options.method).items()]
    for file in options.edit:
        settings, task = from_file(file, tasks.QUICK if options.quick else tasks.FULL)
        jobs += [(f"{file.stem}-before", {}, (task,)), (file.stem, settings, (task,))]
    asked, results, pictures = evaluation(options.folder, options.model), {}, 2 if options.quick else 6
    out = results_folder(options)
    out.mkdir(parents=True, exist_ok=True)
    for name, settings, some in jobs:
        answers = run(asked, name if settings else "none", settings, some, tell)
        results[name] = report.as_json(answers)
        (out / f"{name}.json").write_text(json.dumps(results[name], indent=1) + "\n", encoding="utf-8")
        if settings:
            before = run(asked, "none", {}, report.pictured(some, pictures), tell)
            report.sheet(before, answers).save(out / f"{name}.jpg", quality=88)
    print(file=sys.stderr)
    print(report.table(results))
    print(f"JSON and sheets: {out}", file=sys.stderr)
    return 0


def measure_curves(options: argparse.Namespace) -> int:
    """Measure the curves, and draw them with those measured before."""
    from . import curves

    found = curves.measure(evaluation(options.folder), options.split, options.method or curves.METHODS, tell)
    curves.write(found, STUDIES / f"curves-{options.split}.json")
    return 0


def measure_ratios(options: argparse.Namespace) -> int:
    """Measure how much FIA erases and keeps by how much it cuts; what was measured is kept."""
    from . import ratios

    found, name = evaluation(options.folder), f"ratios-{options.split}"
    rows = resumed(name, lambda known: ratios.rows(found, options.split, known, tell))
    ratios.draw(rows, STUDIES / f"{name}.png")
    print(ratios.table(rows))
    return 0


def measure_parts(options: argparse.Namespace) -> int:
    """Measure auto without its parts."""
    from . import ablation

    found = ablation.measure(evaluation(options.folder), tell)
    STUDIES.mkdir(parents=True, exist_ok=True)
    (STUDIES / "ablation.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(file=sys.stderr)
    print(ablation.table(found))
    return 0


def measure_captured(options: argparse.Namespace) -> int:
    """Measure edits of states caught inside MiniCanvas-DiT."""
    from . import captured, separate

    found = evaluation(options.folder, "dit")
    caught = captured.CaughtEvaluation(found.loaded, found.judge, options.folder, separate.version())
    rows = captured.measure(caught, tell)
    STUDIES.mkdir(parents=True, exist_ok=True)
    (STUDIES / "captured.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(file=sys.stderr)
    print(captured.table(rows))
    return 0


def measure_probed_curves(options: argparse.Namespace) -> int:
    """Compare the probe with the judge over strengths; what was asked is kept."""
    from . import probed, probed_curves

    found, name = evaluation(options.folder), f"probed-curves-{options.split}"
    resumed(name, lambda known: probed_curves.rows(found, options.split, known, tell))
    rows = resumed(name, lambda known: probed_curves.counted_again(found, options.split, known, tell))
    rows = [{**row, **probed_curves.of_all(row)} for row in rows]
    print(json.dumps(probed.ranked_over(rows, probed_curves.pictures_of(rows)), indent=1))
    return 0


def measure_attacked(options: argparse.Namespace) -> int:
    """Measure what attacks call up; what was measured is kept, and never measured again."""
    from . import attacked

    found = evaluation(options.folder)
    print(attacked.table(resumed("attacked", lambda known: attacked.rows(found, known, tell))))
    return 0


def measure_asked(options: argparse.Namespace) -> int:
    """Measure strengths that the model asks for; what was measured is kept."""
    from . import asked

    found = evaluation(options.folder)
    print(asked.table(resumed("asked", lambda known: asked.rows(found, known, tell))))
    return 0


def resumed(name: str, go_on: Callable[[Rows], Iterable[Rows]]) -> Rows:
    """Go on with a study from the rows that its file has, and keep all rows there are after each new one."""
    file = STUDIES / f"{name}.json"
    known: Rows = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.is_file() else []
    STUDIES.mkdir(parents=True, exist_ok=True)
    rows = known
    for rows in go_on(known):
        file.write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")
    print(file=sys.stderr)
    return rows


def measure_probed(options: argparse.Namespace) -> int:
    """Compare the probe with the judge; what was asked is kept, and never asked again."""
    from . import probed

    file = STUDIES / f"probed-{options.split}.json"
    known = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.is_file() else []
    STUDIES.mkdir(parents=True, exist_ok=True)

    def keep(rows: list[object]) -> None:
        ranks = probed.ranked(rows, probed.counts_of(options.split))  # type: ignore[arg-type]
        file.write_text(json.dumps({"ranks": ranks, "rows": rows}, indent=1) + "\n", encoding="utf-8")

    loaded = evaluation(options.folder).loaded
    for rows in probed.rows(loaded, options.split, RESULTS, known, tell):
        known = rows
        keep(rows)
    keep(known)
    print(json.dumps(json.loads(file.read_text(encoding="utf-8"))["ranks"], indent=1))
    return 0


def results_folder(options: argparse.Namespace) -> Path:
    """Return where results go: those of all tasks are kept in this repository, and a part never takes their place."""
    if options.out:
        return Path(options.out)
    if options.quick or options.task or options.edit:
        return Path(options.folder) / "results"
    return RESULTS / options.model if options.model != MODELS[0] else RESULTS


def tell(text: str) -> None:
    """Show what is being done, in one line."""
    print(f"\r{text:78.78}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
