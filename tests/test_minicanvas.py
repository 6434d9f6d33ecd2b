"""The drawn world, its tasks and figures: fixed, exact, and learned only from what may be seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pack.benchmarks.minicanvas import (
    ablation,
    asked,
    attacked,
    captions,
    checkpoint,
    curves,
    inprocess,
    judge,
    lora,
    network,
    probed,
    probed_curves,
    questions,
    ratios,
    report,
    scores,
    separate,
    tasks,
)
from pack.benchmarks.minicanvas.__main__ import RESULTS, STUDIES, evaluate, parse, results_folder
from pack.benchmarks.minicanvas.artists import ARTISTS, SIDE
from pack.benchmarks.minicanvas.dataset import training_pictures
from pack.benchmarks.minicanvas.drawing import draw_all
from pack.benchmarks.minicanvas.evaluate import Answers
from pack.benchmarks.minicanvas.methods import LISTED, METHODS, listed, methods
from pack.benchmarks.minicanvas.questions import Check, Question
from pack.benchmarks.minicanvas.shapes import SHAPES
from pack.benchmarks.minicanvas.training import Plan, Run
from pack.benchmarks.minicanvas.world import (
    ARTIST_NAMES,
    COLOURS,
    HELD_OUT,
    OBJECTS,
    PICTURES,
    TRAINED,
    TWINS,
    Picture,
)
from pack.scapre.methods import closed_forms
from pack.scapre.methods.scapre.settings import PRESETS

RED_STAR = Picture("star", "red", "Arlo Vane")


def digest(*parts: bytes) -> str:
    """A hash of bytes."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


class TestWorld:
    """What there is, and what it looks like."""

    def test_every_name_can_be_drawn(self) -> None:
        assert set(SHAPES) == set(OBJECTS)
        assert set(ARTISTS) == set(ARTIST_NAMES)
        assert len(OBJECTS) >= 20
        assert len(COLOURS) == 10
        assert len(ARTIST_NAMES) == 16

    def test_a_seed_fixes_a_drawing_whatever_is_drawn_after_it(self) -> None:
        one = draw_all([RED_STAR, Picture("moon", "blue")], 5)
        assert one.shape == (2, SIDE, SIDE, 3)
        assert (draw_all([RED_STAR, Picture("fish", "pink")], 5)[0] == one[0]).all()
        assert (draw_all([RED_STAR], 6)[0] != one[0]).any()

    def test_artists_objects_and_colours_all_show(self) -> None:
        base = draw_all([RED_STAR], 5)
        for other in (
            Picture("star", "red"),
            Picture("star", "blue", "Arlo Vane"),
            Picture("hexagram", "red", "Arlo Vane"),
        ):
            assert np.abs(draw_all([other], 5).astype(int) - base).mean() > 1
        drawn = draw_all([Picture("star", "red", artist) for artist in ("", *ARTIST_NAMES)], 5)
        same_place = np.stack([draw_all([Picture("star", "red", artist)], 5)[0] for artist in ("", *ARTIST_NAMES)])
        assert len({picture.tobytes() for picture in same_place}) == len(drawn)

    def test_held_out_combinations_are_about_one_in_eight_and_touch_every_name(self) -> None:
        share = len(HELD_OUT) / len([picture for picture in PICTURES if picture.artist])
        assert 0.1 < share < 0.15
        assert set(TRAINED) | set(HELD_OUT) == set(PICTURES)
        assert {picture.object for picture in HELD_OUT} == set(OBJECTS)
        assert {picture.artist for picture in HELD_OUT} == set(ARTIST_NAMES)
        assert {picture.artist for picture in TRAINED} == {"", *ARTIST_NAMES}


class TestCaptions:
    """How pictures are asked for."""

    def test_articles_fit(self) -> None:
        assert captions.write("a {colour} {object}", Picture("apple", "orange")) == "an orange apple"
        assert (
            captions.write("a {object} by {artist}", Picture("airplane", "red", "Aiko Tanabe"))
            == "an airplane by Aiko Tanabe"
        )

    def test_nothing_held_out_is_trained_on(self) -> None:
        texts, choices = network.training_captions(training_pictures())
        assert not set(choices) & set(HELD_OUT)
        paraphrased = {text for picture in PICTURES for text in captions.paraphrases(picture)}
        assert not set(texts) & paraphrased
        told = {text for picture in HELD_OUT for text in captions.trained_wordings(picture)["full"]}
        assert not set(texts) & told

    def test_every_caption_says_what_its_picture_shows(self) -> None:
        texts, choices = network.training_captions(training_pictures())
        assert texts[0] == ""
        for picture, (full, colourless, alone) in choices.items():
            assert full
            assert all(picture.colour in texts[number] and picture.object in texts[number] for number in full)
            assert all(picture.artist in texts[number] for group in (full, colourless, alone) for number in group)
            assert not any(picture.colour in texts[number].split() for number in colourless)


class TestTasks:
    """What is erased and asked: fixed, versioned, and apart by split."""

    def test_the_tasks_of_this_version_are_these(self) -> None:
        told = [[t.name, t.kind, t.concepts, [[q.text, q.seed] for q in t.questions]] for t in tasks.all_tasks()]
        more = [[*one, t.preserve, t.lora] for one, t in zip(told, tasks.all_tasks(), strict=True)]
        # Raise questions.VERSION whenever this changes: figures of different tasks must not be compared.
        assert (questions.VERSION, digest(json.dumps(more).encode())[:16]) == (3, "5d2b20af583c037e")
        assert digest(json.dumps(told[:24]).encode())[:16] == "3d1225de11e65f87"  # version 2, which is a part of it

    def test_harder_tasks_keep_what_they_say(self) -> None:
        hard = [task for split in tasks.SPLITS for task in tasks.hard_tasks(split, tasks.FULL)]
        for task in hard:
            kept = {check.word for question in task.questions for check in question.checks if check.role == "in"}
            assert not kept & set(task.concepts)
            assert not set(task.preserve) & set(task.concepts)
        named = {task.name: task for task in hard}
        apart, listed = named["every second name/held-out"], named["every second name, others listed/held-out"]
        assert apart.questions == listed.questions and set(listed.preserve) >= {
            check.word for question in apart.questions for check in question.checks if check.role == "in"
        }
        assert {pair for pair in TWINS if len({*pair} & set(apart.concepts)) == 2} == set()
        assert not set(tasks.UNSEEN) & {*OBJECTS, *ARTIST_NAMES}
        assert {"flower", "moon"} == {task.concepts[0] for task in hard if task.lora and task.kind == "object"}
        assert not {"flower", "moon"} & set(lora.UNRELATED)

    def test_the_splits_share_no_concept_and_keep_twins_together(self) -> None:
        (artists, objects), (other_artists, other_objects) = tasks.SPLITS.values()
        assert not set(artists) & set(other_artists)
        assert not set(objects) & set(other_objects)
        assert {*artists, *other_artists} == set(ARTIST_NAMES)
        assert {*objects, *other_objects} == set(OBJECTS)
        assert all((first in objects) == (second in objects) for first, second in TWINS)

    @pytest.mark.parametrize("task", [*tasks.all_tasks(), *tasks.quick_tasks()], ids=lambda task: task.name)
    def test_questions_name_what_they_check_and_retained_ones_nothing_erased(self, task: tasks.Task) -> None:
        for question in task.questions:
            erased = [check.word for check in question.checks if check.role == "erase"]
            assert len(erased) <= 1
            assert all(check.word in question.text for check in question.checks)
            words = question.text.replace(",", "").split()
            named = [name for name in task.concepts if name in question.text and (" " in name or name in words)]
            assert [name.split()[-1] if task.kind == "object" else name for name in named] == erased
            assert question.retained == (not erased)
        assert any(not question.retained for question in task.questions)

    def test_the_curve_grows_by_adding(self) -> None:
        lists = [tasks.curve(count) for count in tasks.CURVE]
        assert [len(entry) for entry in lists] == [1, 2, 5, 10, 20, 36]
        assert all(long[: len(short)] == short for short, long in pairwise(lists))
        assert set(lists[-1]) == {*OBJECTS, *ARTIST_NAMES}

    def test_a_paraphrased_task_shares_its_edit_and_no_wording(self) -> None:
        found = {task.name: task for task in tasks.all_tasks()}
        plain, told = found["one style/held-out"], found["one style, paraphrased/held-out"]
        assert plain.concepts == told.concepts
        trained = {captions.write(wording, picture) for wording in captions.WITH_ARTIST for picture in PICTURES}
        assert not trained & {question.text for question in told.questions}

    def test_an_edit_of_ones_own_gets_a_task_of_its_kind(self) -> None:
        sizes = questions.Sizes(4, 4, 2)
        lists = (("star",), ("Arlo Vane",), ("star", "Arlo Vane"))
        kinds = [tasks.task_for("mine", names, sizes).kind for names in lists]
        assert kinds == ["object", "style", "mixed"]
        with pytest.raises(ValueError, match="mine erases dog"):
            tasks.task_for("mine", ("star", "dog"), sizes)

    def test_methods_name_presets_that_exist_and_others_are_refused(self) -> None:
        inputs = [settings for kinds in METHODS.values() for settings in kinds.values()]
        assert {entry["preset"] for entry in inputs if "preset" in entry} <= set(PRESETS)
        assert {entry["method"] for entry in inputs if "method" in entry} == set(closed_forms()) - {"scapre"}
        assert set(methods(["precise", "explicit"])) == {"precise", "explicit"}
        task = next(tasks.hard_tasks("held-out", tasks.QUICK))
        assert listed(task, {}) == () and not {*listed(task, {LISTED: "all"})} & set(task.concepts)
        assert len(listed(task, {LISTED: "all"})) == 35 and len(listed(task, {LISTED: "half"})) == 18
        assert methods(["auto@0.5"])["auto@0.5"]["style"] == {"method": "auto", "strength": 0.5}
        for strength in ("3", "2.5", "x", "-1", "1e"):
            with pytest.raises(ValueError, match="a strength is a number from 0 to 2"):
                methods([f"auto@{strength}"])
        with pytest.raises(ValueError, match="no method magic"):
            methods(["magic"])


class TestScores:
    """Figures against what can be worked out by hand."""

    questions = (
        Question("erase me", (Check("erase", "style", "Arlo Vane"), Check("beside", "object", "star"))),
        Question("erase me too", (Check("erase", "style", "Arlo Vane"), Check("beside", "object", "moon"))),
        Question("keep me", (Check("in", "style", "Mina Okoro"), Check("cross", "object", "fish"))),
    )

    def test_shares_count_each_role_its_own_way(self) -> None:
        words = {"style": ["Mina Okoro", "Arlo Vane", "Mina Okoro"], "object": ["star", "star", "sun"]}
        found = scores.score(self.questions, words)
        assert {name: share.value for name, share in found.items()} == {
            "UA": 0.5,
            "IRA": 1,
            "CRA": 0,
            "beside": 0.5,
            "H": 0,
        }
        words["object"][2] = "fish"
        assert scores.score(self.questions, words)["H"].value == pytest.approx(3 / (2 + 1 + 1))

    def test_wilson_intervals_are_the_published_ones(self) -> None:
        # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
        for hits, count, low, high in (
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ):
            share = scores.wilson(hits, count)
            assert (share.low, share.high) == pytest.approx((low, high), abs=5e-5)

    def test_a_bootstrap_interval_holds_its_value_and_narrows_with_more_questions(self) -> None:
        words = {"style": ["Mina Okoro", "Arlo Vane", "Mina Okoro"], "object": ["star", "star", "fish"]}
        few = scores.score(self.questions, words)["H"]
        many = scores.score(self.questions * 30, {name: entry * 30 for name, entry in words.items()})["H"]
        assert few.low <= few.value <= few.high
        assert many.high - many.low < few.high - few.low

    def test_frechet_is_zero_on_itself_and_exact_for_a_shift_and_a_scale(self) -> None:
        points = torch.randn(500, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        assert judge.frechet(points, points) == pytest.approx(0, abs=1e-9)
        assert judge.frechet(points, points + 2) == pytest.approx(16)
        spread = points.T.cov().trace().item()
        centred = points - points.mean(0)
        assert judge.frechet(centred, 3 * centred) == pytest.approx(4 * spread)


class TestSheet:
    """Pictures before and after."""

    def test_a_row_has_its_targets_and_what_is_kept_before_above_after(self) -> None:
        chosen = tasks.quick_tasks()
        before = [self.answers(task, red=[q.seed for q in task.questions]) for task in report.pictured(chosen, 3)]
        after = [self.answers(task, blue=[q.seed for q in task.questions]) for task in chosen]
        assert [entry.task.name for entry in before] == [task.name for task in chosen]  # one task a row
        sheet = np.asarray(report.sheet(before, after)).astype(int)
        step = (len(sheet) - report.MARGIN) // len(chosen)
        for row, (small, task) in enumerate(zip(before, chosen, strict=True)):
            asked = small.task.questions
            assert [q.retained for q in asked] == sorted(q.retained for q in asked)
            assert set(asked) <= set(task.questions)
            upper = report.MARGIN + row * step + report.LINE + report.SIZE // 2
            for line, channel in ((upper, 0), (upper + report.SIZE + 2, 2)):
                seen = [pixel for pixel in sheet[line] if pixel[1] == 7]
                colours = list(dict.fromkeys(int(pixel[channel]) for pixel in seen))
                assert colours == list(dict.fromkeys(q.seed % 251 for q in asked))

    def answers(self, task: tasks.Task, red: Sequence[int] = (), blue: Sequence[int] = ()) -> Answers:
        """Answers whose pictures are of one colour each, by the question's seed; 7 of green marks them."""
        pictures = np.zeros((len(task.questions), 4, 4, 3), np.uint8)
        pictures[..., 1] = 7
        for channel, seeds in ((0, red), (2, blue)):
            if seeds:
                pictures[..., channel] = np.array([seed % 251 for seed in seeds])[:, None, None]
        nothing = judge.Reading({}, torch.empty(0))
        return Answers(task, pictures, nothing, torch.empty(0), 0.0, 0.0)


class TestTraining:
    """Runs that are stopped and go on."""

    def make(self, file: Path, steps: int = 12) -> Run:
        """A small run."""
        torch.manual_seed(0)
        return Run(Plan("small", steps, 0.01, warm_up=3), nn.Linear(4, 2), file)

    @staticmethod
    def loss(run: Run):
        """A loss with chance in it."""
        return lambda random, step: (run.model(torch.randn(8, 4, generator=random)) - step).square().mean()

    def test_a_stopped_run_ends_as_one_that_was_not(self, tmp_path: Path) -> None:
        whole = self.make(tmp_path / "whole.pt")
        assert whole.go(self.loss(whole))
        part = self.make(tmp_path / "part.pt")
        for _ in range(5):
            part._advance(self.loss(part))
        part.save()
        rest = self.make(tmp_path / "part.pt")
        assert rest.step == 5
        assert rest.go(self.loss(rest))
        for name, value in whole.averaged.items():
            assert torch.equal(rest.averaged[name], value)

    def test_time_that_is_up_stops_it_before_the_end(self, tmp_path: Path) -> None:
        run = self.make(tmp_path / "run.pt")
        assert not run.go(self.loss(run), until=0.0)
        assert run.step == 0

    def test_the_rate_warms_up_and_falls(self) -> None:
        rates = [Plan("p", 100, 1.0, warm_up=10).rate_at(step) for step in range(101)]
        assert rates[0] == pytest.approx(0.1)
        assert max(rates) <= 1
        assert rates[100] == pytest.approx(0.01)
        assert all(later <= earlier for earlier, later in pairwise(rates[15:]))


class TestResults:
    """The figures in the repository."""

    def test_the_table_in_the_documentation_is_that_of_the_files(self) -> None:
        files = [file for name in METHODS if (file := RESULTS / f"{name}.json").is_file()]
        assert {file.stem for file in files} == {file.stem for file in RESULTS.glob("*.json")}
        assert {"none", "precise", "scale", "auto"} <= {file.stem for file in files}
        results = {file.stem: json.loads(file.read_text()) for file in files}
        assert all(result["version"] == questions.VERSION for result in results.values())
        assert all(list(result["tasks"]) == [task.name for task in tasks.all_tasks()] for result in results.values())
        assert report.table(results) in (RESULTS.parents[1] / "README.md").read_text()

    def test_the_table_over_r2_is_that_of_its_files(self) -> None:
        page = (RESULTS.parents[1] / "README.md").read_text(encoding="utf-8")
        files = [STUDIES / f"ratios-{split}.json" for split in tasks.SPLITS]
        tables = [ratios.table(json.loads(file.read_text(encoding="utf-8"))["rows"]) for file in files]
        for lines in zip(*(table.splitlines()[2:] for table in tables), strict=True):
            (form, share, *known), (_, _, *others) = (line.strip("| ").split(" | ") for line in lines)
            both = [cell for pair in zip(known, others, strict=True) for cell in pair]
            assert f"| {' | '.join([form, share, *both])} |" in page

    def test_the_other_tables_are_those_of_their_files(self) -> None:
        text = (RESULTS.parents[1] / "README.md").read_text()
        names = ("auto", "uce", "rece", "speed", "oce", "dp", "precise", "scale")
        places = [(RESULTS / f"{name}.json", RESULTS / "held-out" / f"{name}.json") for name in names]
        results = {own.stem: json.loads((own if own.is_file() else other).read_text()) for own, other in places}
        studies = ("ablation", "curves-development", "curves-held-out")
        parts, *found = (json.loads((STUDIES / f"{name}.json").read_text()) for name in studies)
        assert {entry["version"] for entry in (*results.values(), parts, *found)} == {questions.VERSION}
        assert report.side_by_side(results) in text
        assert ablation.table(parts) in text and list(parts["variants"]) == list(ablation.PARTS)
        assert set(curves.METHODS) <= set(found[0]) and set(probed_curves.ASKED) <= set(found[1])
        points = [list(split[name]) for split in found for name in split if name in curves.METHODS]
        assert all(strengths == [f"{by:g}" for by in curves.STRENGTHS] for strengths in points)

    @pytest.mark.parametrize("part", ["--quick", "--task=one style", "--edit=mine.safetensors"])
    def test_a_part_of_the_tasks_never_takes_their_place(self, part: str, tmp_path: Path) -> None:
        told = ["evaluate", "--method", "precise", "--folder", str(tmp_path)]
        assert results_folder(parse(told)) == RESULTS
        assert results_folder(parse([*told, part])) == tmp_path / "results"
        assert results_folder(parse([*told, part, f"--out={tmp_path / 'mine'}"])) == tmp_path / "mine"

    def test_a_task_that_does_not_exist_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="no task's name contains one stile"):
            evaluate(parse(["evaluate", "--method", "precise", "--task", "one stile", "--out", str(tmp_path / "none")]))
        assert not (tmp_path / "none").exists()


class TestCheckpoint:
    """What ships, and what is made again."""

    def test_the_text_encoder_is_the_same_everywhere(self) -> None:
        found = checkpoint.text_encoder()
        assert digest(*(found[name].numpy().tobytes() for name in sorted(found)))[:16] == "013265411350d834"

    def test_what_ships_is_what_was_measured_and_small(self) -> None:
        known = dict(line.split()[::-1] for line in (checkpoint.WEIGHTS / "SHA256SUMS").read_text().splitlines())
        files = sorted(checkpoint.WEIGHTS.glob("*.safetensors"))
        assert {file.name: digest(file.read_bytes()) for file in files} == known
        sizes = {file: file.stat().st_size for file in files}
        assert sizes.pop(separate.TRANSFORMER) <= 25e6
        assert sum(sizes.values()) <= 60e6
        assert all(file.stat().st_size <= 50 * 2**20 for file in files)

    def test_the_judge_reads_drawings(self) -> None:
        shown = PICTURES[::7]
        reading = judge.read(judge.load(checkpoint.JUDGE), draw_all(shown, 123_456))
        assert min(judge.accuracy(reading, shown).values()) >= 0.99

    def test_a_whole_batch_is_drawn_as_the_sampler_draws_each(self) -> None:
        loaded = inprocess.load(checkpoint.shipped())
        texts = ["", "a red star", "a blue house in the style of Mina Okoro"]
        states = inprocess.encode(loaded.clip, texts)
        both = inprocess.sample(loaded.model, states[1:], states[:1], [3, 4])
        for index in range(2):
            alone = inprocess.sample(loaded.model, states[1 + index : 2 + index], states[:1], [3 + index])
            assert torch.allclose(alone[0], both[index], atol=2e-3)


class TestStudiesOfTheProbe:
    """Ranks, and what is trained on after an edit."""

    def test_correlations_are_those_of_ranks(self) -> None:
        one = np.array([0.1, 0.4, 0.4, 0.9, 2.0])
        assert probed.spearman(one, np.exp(one)) == pytest.approx(1)
        assert probed.spearman(one, -(one**3)) == pytest.approx(-1)
        assert probed.spearman(one, np.array([1.0, 0.0, 0.0, 0.0, 1.0])) == pytest.approx(0.0, abs=0.5)
        rows = [
            {"method": "a", "strength": share, "task": "b", "UA": share} | dict.fromkeys(("IRA", "still"), 1 - share)
            | {key: value
                for name in ("left", "moved", "held")
                for key, value in ((name, -share if name == "left" else share), (f"{name} by σ", [-share, share]))}
            for share in (0.0, 0.5, 1.0)
        ]  # fmt: skip
        found = probed.ranked_over(rows, {"UA": np.full(3, 6), "IRA": np.full(3, 6), "still": np.array([6, 5, 4])})
        assert found["left with UA"] == pytest.approx(1) and found["left at point 1 with UA"] == pytest.approx(-1)
        assert found["moved with IRA"] == pytest.approx(1) and found["held with IRA"] == pytest.approx(-1)
        assert found["moved with still"] == pytest.approx(1) and 0 < found["moved with still, if it decided"] <= 1
        assert found["left with UA, means over tasks"] == found["left with UA, mean within a task"] == pytest.approx(1)

    def test_more_pictures_ask_for_the_same_names_otherwise(self) -> None:
        for task in probed_curves.tasks("held-out"):
            for role, sizes in probed_curves.AGAIN.items():
                more, names = probed_curves.again(task, role), probed_curves.names_of(task, role)
                assert len(more.questions) == sizes.target + sizes.kept
                assert set(probed_curves.names_of(more, role)) <= set(names)
                roles = {check.role for question in more.questions for check in question.checks}
                assert role in roles and not roles & ({"erase", "in"} - {role})
                assert not {q.text for q in more.questions} <= {q.text for q in task.questions}
        found = probed_curves.of_all({"UA": 1.0, "gone": 0.0, "IRA": 1.0, "again": 0.5})
        assert found == {"UA": pytest.approx(6 / 12), "IRA": pytest.approx(15 / 24)}
        counts = probed_curves.pictures_of([{"right": 15}, {"right": 18}])
        assert {name: count.tolist() for name, count in counts.items()} == {
            "UA": [12, 12], "IRA": [24, 24], "still": [15, 18]
        }  # fmt: skip

    def test_what_was_drawn_wrong_before_is_not_lost(self) -> None:
        before, after = np.array([True, True, False, True, False]), np.array([True, False, False, True, True])
        assert probed_curves.lost(before, after) == {"again": 0.6, "still": 0.6667, "right": 3}
        assert probed_curves.lost(before & False, after) == {"again": 0.6, "still": 1.0, "right": 0}

    def test_a_second_count_agrees_the_more_pictures_there_are(self) -> None:
        shares = np.linspace(0, 1, 13)
        few, many, most = (probed.recounted(shares, count) for count in (4, 12, 100_000))
        assert few < many < most and most == pytest.approx(1, abs=1e-3) and few > 0

    def test_a_figure_that_decides_agrees_as_well_as_pictures_can_tell(self) -> None:
        figure, rates = np.linspace(0, 1, 13), np.linspace(1, 0, 13)
        few, many = (probed.decided(figure, rates, np.full(13, count)) for count in (4, 100_000))
        assert 0.5 < few < many == pytest.approx(1)
        assert probed.decided(figure, rates[::-1], np.full(13, 100)) == pytest.approx(0, abs=0.1)
        counts = probed.counts_of("development")
        assert counts["one style/development"] == {"UA": 24, "IRA": 30}
        assert counts["circle, not ring/development"] == {"UA": 12, "IRA": 12}

    @pytest.mark.parametrize("name", attacked.ROWS)
    def test_nothing_that_was_erased_is_trained_on_again(self, name: str) -> None:
        (task,) = (task for task in attacked.tasks() if task.name == name)
        assert len(task.questions) >= 12 and all(task.concepts[0] in question.text for question in task.questions)
        twins = {other for pair in TWINS for gone, other in (pair, pair[::-1]) if gone in task.concepts}
        shown = attacked.drawings(task)
        assert len(shown) > 200
        for picture, text in shown:
            assert not {picture.object, picture.artist} & ({*task.concepts} | twins) and not picture.held_out
            assert not any(concept in text for concept in task.concepts)

    def test_what_cannot_be_asked_is_no_figure(self) -> None:
        row = {"method": "fia-wide", "task": "one style/held-out", "UA": 0.5, "states": None, "100 steps": 0.25}
        assert attacked.table([row]).splitlines()[-1] == "| one style | fia-wide | 0.50 | - | 0.25 |"

    def test_strengths_are_asked_for_of_held_out_names_alone(self) -> None:
        found = asked.tasks()
        assert [task.kind for task in found] == ["style", "object", "style", "object"]
        assert {task.split for task in found} == {"held-out"}
        figures = {"UA": 1.0, "IRA": 0.5, "CRA": 0.25}
        row = {"method": "uce", "task": found[0].name, "strength": 2.0, "reached": False}
        row |= {"usual": figures, "asked": figures}
        shown = "1.00 | 0.50 | 0.25"
        last = asked.table([row]).splitlines()[-1]
        assert last == f"| one style | uce | 2 (too little) | {shown} | {shown} |"
