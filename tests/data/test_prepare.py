"""The whole preparation in its child process: faults and exits, the same bytes, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from phichat.backends.base import Dataset
from phichat.data import (
    BadRowsError,
    DataOptions,
    ModelFiles,
    Prepared,
    current,
    open_prepared,
    prepare,
)
from phichat.data.child import main
from phichat.data.request import OUTCOME_FILE, REQUEST_FILE, Outcome, Request
from phichat.data.rows import problems
from phichat.data.told import facts
from phichat.errors import ConfigError, DataError
from phichat.events import Event, Progress, Step
from phichat.workflow.preparing import findings
from tests.data.conftest import Work, chat, tower, write

MODEL = ModelFiles(name="phi", special_tokens=("<|end|>",))


def faulty(path: Path) -> Path:
    """Twenty rows with six different faults, on lines 3, 6, 8, 10, 12 and 16."""
    rows: list[Any] = [tower(number) for number in range(20)]
    rows[2]["messages"][0]["role"] = "narrator"
    rows[5]["messages"][1]["content"] = "  "
    rows[7] = {"conversations": [{"from": "human", "value": "Hello?"}]}
    rows[9]["messages"].pop()
    rows[11]["messages"][0]["content"] += "<|end|>"
    rows[15] = '{"messages": [oops'
    return write(path, rows)


async def done(source: str | Path, out: Path, **chosen: Any) -> Prepared:
    """Prepare a source quietly."""
    return await prepare(str(source), DataOptions.model_validate(chosen), out, lambda _: None)


def left(out: Path) -> list[str]:
    """What lies in the data folder."""
    return sorted(path.name for path in out.iterdir())


async def test_six_faults_are_six_sentences(tmp_path: Path) -> None:
    source, out = faulty(tmp_path / "twenty.jsonl"), tmp_path / "data"
    with pytest.raises(BadRowsError) as caught:
        await done(source, out, model=MODEL)
    told = [str(problem) for problem in problems(caught.value.problems_file)]
    assert told == [
        "twenty.jsonl, line 3, messages[0].role: 'narrator' is no role: "
        "system, user or assistant is expected.",
        "twenty.jsonl, line 6, messages[1].content: the text is empty.",
        "twenty.jsonl, line 8: the row has no 'messages', as the others of messages have.",
        "twenty.jsonl, line 10: there is no answer of the assistant to learn from.",
        "twenty.jsonl, line 12, messages[0].content: the text contains '<|end|>', which the model reads as a "
        "command and not as text.",
        "twenty.jsonl, line 16: the line is not JSON: invalid character at byte 14.",
    ]
    assert caught.value.exit_code == 1
    assert caught.value.counts == dict.fromkeys(
        ("empty", "format", "json", "no_answer", "role", "special_token"), 1
    )
    assert caught.value.message.startswith(f"6 of 20 rows of {source} have errors: 1 empty text, ")
    assert caught.value.hint.endswith(f"phichat data {source} --skip-bad")
    assert left(out) == ["refused"]
    assert left(out / "refused") == ["bad.jsonl", "manifest.json", "problems.jsonl", "rows.index"]
    assert current(out) is None


@pytest.mark.parametrize(
    ("rows", "told", "hint"),
    [
        (
            b'{"messages": [{"role": "user", "content": "caf\xe9"}]}\n' * 2,
            "2 of 2 rows",
            "Save it as UTF-8, then run: phichat data ",
        ),
        (b'{"messages": []}\n', "1 of 1 row", "No row is good: mend them, then run: phichat data "),
    ],
)
async def test_leaving_out_is_no_remedy_where_no_row_is_good(
    tmp_path: Path, rows: bytes, told: str, hint: str
) -> None:
    source = tmp_path / "bad.jsonl"
    source.write_bytes(rows)
    with pytest.raises(BadRowsError, match=told) as caught:
        await done(source, tmp_path / "data", model=MODEL)
    assert caught.value.hint == f"{hint}{source}"
    assert list(findings(open_prepared(tmp_path / "data" / "refused"), refused=True)) == []


async def test_fourteen_rows_with_skip_bad(tmp_path: Path) -> None:
    source, out = faulty(tmp_path / "twenty.jsonl"), tmp_path / "data"
    with pytest.raises(BadRowsError):
        await done(source, out, model=MODEL)
    prepared = await done(source, out, model=MODEL, skip_bad=True)
    counts = prepared.manifest.counts
    assert (counts.read, counts.train + counts.eval, counts.bad) == (20, 14, 6)
    bad = [json.loads(line) for line in (prepared.folder / "bad.jsonl").read_text().splitlines()]
    assert [row["line"] for row in bad] == [3, 6, 8, 10, 12, 16]
    assert bad[0]["row"]["messages"][0]["role"] == "narrator"
    assert bad[5]["row"] == '{"messages": [oops'
    # What was refused before is of no interest any more.
    assert left(out) == sorted([prepared.manifest.fingerprint, "current.json"])


async def test_what_training_gets(tmp_path: Path) -> None:
    prepared = await done(write(tmp_path / "rows.jsonl", map(tower, range(50))), tmp_path / "data")
    dataset = prepared.dataset
    assert isinstance(dataset, Dataset)
    assert dataset.eval_file is not None
    train, held = (file.read_bytes().splitlines() for file in (dataset.train_file, dataset.eval_file))
    assert (len(train), len(held)) == (dataset.train_rows, dataset.eval_rows)
    assert len(train) + len(held) == 50
    assert train[0].startswith(b'{"messages":[{"role":"user","content":"What is')
    assert dataset.fingerprint == prepared.folder.name
    again = current(tmp_path / "data")
    assert again is not None
    assert again.dataset == dataset
    assert again.manifest == prepared.manifest


async def test_text_is_kept_as_it_is(tmp_path: Path) -> None:
    texts = ("Où? 🙂 \u2028 \u0000 «x»", ' "tab\t" \\ \r\n ')
    prepared = await done(write(tmp_path / "rows.jsonl", [chat(*texts)]), tmp_path / "data")
    line = prepared.dataset.train_file.read_bytes()
    assert "Où? 🙂 \u2028".encode() in line
    assert line.count(b"\n") == 1
    assert b"\r" not in line
    assert [turn["content"] for turn in json.loads(line)["messages"]] == list(texts)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", [*map(tower, range(60)), tower(3), chat("a", "")])
    first, second = [
        await done(source, tmp_path / name, skip_bad=True, model=MODEL) for name in ("one", "two")
    ]
    assert contents(first.folder) == contents(second.folder)
    again = await done(source, tmp_path / "one", skip_bad=True, model=MODEL)
    assert again.folder == first.folder
    assert contents(again.folder) == contents(second.folder)


async def test_another_seed_or_another_row_is_another_fingerprint(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", map(tower, range(30)))
    more = write(tmp_path / "more.jsonl", map(tower, range(31)))
    found = [await done(source, tmp_path), await done(source, tmp_path, seed=1), await done(more, tmp_path)]
    assert len({each.manifest.fingerprint for each in found}) == 3
    now = current(tmp_path)
    assert now is not None
    assert now.folder == found[2].folder


async def test_rows_that_are_the_same_have_the_same_fingerprint_whatever_they_came_as(tmp_path: Path) -> None:
    rows = [{"question": f"q{number}", "answer": "a"} for number in range(9)]
    lines = await done(write(tmp_path / "rows.jsonl", rows), tmp_path / "data")
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    array = await done(tmp_path / "rows.json", tmp_path / "data")
    assert array.folder == lines.folder
    # What is said about them is the newest.
    assert open_prepared(array.folder).manifest.parts[0].kind == "JSON array"


async def test_it_says_how_far_it_is(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", map(tower, range(30)))
    events: list[Event] = []
    await prepare(str(source), DataOptions(), tmp_path / "data", events.append)
    steps = [(event.name, event.state) for event in events if isinstance(event, Step)]
    assert steps[:2] == [("read", "running"), ("read", "done")]
    assert steps[-1] == ("write", "done")
    reading = [event for event in events if isinstance(event, Progress) and event.what == "Reading"]
    assert reading[-1].done == reading[-1].total == source.stat().st_size
    assert not [event for event in events if event.kind == "log"]


@pytest.mark.parametrize("moment", ["Reading", "Comparing", "Writing"])
async def test_cancelled_it_leaves_nothing(tmp_path: Path, moment: str) -> None:
    # A duplicate that is removed makes it deal the rows anew.
    source = write(tmp_path / "rows.jsonl", [*map(tower, range(3000)), tower(0)])
    options, out, reached = DataOptions(duplicates="remove"), tmp_path / "data", asyncio.Event()

    def report(event: Event) -> None:
        if isinstance(event, Progress) and event.what == moment:
            reached.set()

    task = asyncio.create_task(prepare(str(source), options, out, report))
    await asyncio.wait_for(reached.wait(), 30)
    children = psutil.Process().children(recursive=True)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left(out) == []
    assert not [child for child in children if alive(child)]


def alive(process: psutil.Process) -> bool:
    """Whether it is a child that prepares data."""
    with contextlib.suppress(psutil.Error):
        return process.is_running() and "phichat.data.child" in process.cmdline()
    return False


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
async def test_cancelled_while_the_source_gives_nothing(tmp_path: Path) -> None:
    source, out, reading = tmp_path / "pipe", tmp_path / "data", asyncio.Event()
    os.mkfifo(source)
    silent = os.open(source, os.O_RDWR)
    task = asyncio.create_task(prepare(str(source), DataOptions(), out, lambda _: reading.set()))
    await asyncio.wait_for(reading.wait(), 30)
    (child,) = filter(alive, psutil.Process().children())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 30)
    os.close(silent)
    assert not alive(child)
    assert left(out) == []


async def test_two_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", map(tower, range(200)))
    first, second = await asyncio.gather(done(source, tmp_path / "data"), done(source, tmp_path / "data"))
    assert first.folder == second.folder
    assert left(tmp_path / "data") == sorted([first.folder.name, "current.json"])


async def test_what_a_killed_process_left_is_swept_up(tmp_path: Path) -> None:
    out = tmp_path / "data"
    dead, alive = out / ".preparing-999999999-0", out / f".preparing-{os.getppid()}-0"
    dead.mkdir(parents=True)
    alive.mkdir()
    other = out / ".preparing-²-0"
    other.mkdir()
    prepared = await done(write(tmp_path / "rows.jsonl", map(tower, range(5))), out)
    assert left(out) == sorted([alive.name, other.name, prepared.folder.name, "current.json"])


async def test_a_child_that_dies_is_an_error(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", map(tower, range(3000)))

    def kill(event: Event) -> None:
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if "phichat.data.child" in child.cmdline():
                    child.kill()

    with pytest.raises(DataError, match="ended early"):
        await prepare(str(source), DataOptions(), tmp_path / "data", kill)
    assert left(tmp_path / "data") == []


async def test_errors_of_the_child_are_raised_here(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file or folder 'nowhere\.jsonl'"):
        await done("nowhere.jsonl", tmp_path)
    with pytest.raises(ConfigError, match="no format"):
        await done(write(tmp_path / "rows.jsonl", [tower(1)]), tmp_path, format="nonsense")


async def test_only_bad_rows_are_no_data(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", [chat("a", ""), chat("b")])
    with pytest.raises(DataError, match="no good row"):
        await done(source, tmp_path / "data", skip_bad=True)
    assert left(tmp_path / "data") == []


async def test_prepared_data_that_is_gone_is_not_current(tmp_path: Path) -> None:
    prepared = await done(write(tmp_path / "rows.jsonl", map(tower, range(5))), tmp_path / "data")
    (prepared.folder / "manifest.json").unlink()
    assert current(tmp_path / "data") is None
    with pytest.raises(DataError, match="no prepared data"):
        open_prepared(prepared.folder)
    assert current(tmp_path / "nowhere") is None


async def test_the_parent_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from phichat.data import *\n"
        "asyncio.run(prepare('demo', DataOptions(), Path(sys.argv[1]), lambda _: None))\n"
        "heavy = 'torch transformers datasets pyarrow tokenizers rensa jinja2 textual numpy'.split()\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert printed.strip() == b"[]"


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_source: str, _options: DataOptions, rows: Path, _report: Any) -> None:
        (rows / "spool").write_bytes(b"much")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("phichat.data.work.work", full)
    (tmp_path / REQUEST_FILE).write_text(
        Request(source="demo", options=DataOptions()).model_dump_json(), encoding="utf-8"
    )
    assert main(tmp_path) == 1
    outcome = Outcome.model_validate_json((tmp_path / OUTCOME_FILE).read_text("utf-8"))
    assert (outcome.error, outcome.message) == ("DataError", "The disk is full: there is no room.")
    assert left(tmp_path) == [OUTCOME_FILE, REQUEST_FILE], "what was begun makes room"


async def test_a_share_that_few_rows_miss_is_explained(tmp_path: Path) -> None:
    few = await done(write(tmp_path / "few.jsonl", map(tower, range(4))), tmp_path / "data", test_size=0.3)
    assert few.manifest.split.share == 0.5
    assert "(50.0% held out, seed 0; with more rows nearer to 30%)" in dict(facts(few.manifest))["rows"]
    close = few.manifest.model_copy(update={"split": few.manifest.split.model_copy(update={"share": 0.31})})
    assert "(31.0% held out, seed 0)" in dict(facts(close))["rows"]


def test_a_share_that_is_missed_because_rows_are_alike_says_so(prepared: Work) -> None:
    asked = [f"What does the keeper of tower {n} do every {day}?" for n, day in ((1, "day"), (2, "year"))]
    spoken = (str.lower, str.upper, str.title, str.swapcase)
    alike = [chat(way(text), "They light the lamp.") for text in asked for way in spoken]
    for rows in (alike, [tower(number) for number in (1, 2) for _ in spoken]):
        done = prepared(rows)
        assert done.manifest.split.clusters == 2
        wanted = (
            "rows that say nearly the same stay together, in 2 groups: with more rows that differ, nearer to"
        )
        assert f"(50.0% held out, seed 0; {wanted} 20%)" in dict(facts(done.manifest))["rows"]


def test_held_out_rows_that_were_removed_are_no_reason_for_more_rows(prepared: Work) -> None:
    rows = [tower(number) for number in range(60)]
    for row in rows[30:]:
        row["messages"][-2]["content"] = "Where is it?"
    done = prepared(rows, leakage="remove")
    assert done.manifest.counts.leaked > 3
    assert "nearer to" not in dict(facts(done.manifest))["rows"]


async def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    source = write(tmp_path / "rows\udcf6.jsonl", map(tower, range(5)))
    with pytest.raises(DataError, match="is not UTF-8") as caught:
        await done(source, tmp_path / "data")
    assert "another name" in caught.value.hint
    (tmp_path / "more").mkdir()
    whole = await done(write(tmp_path / "more" / "b\udcf6.jsonl", [tower(1)]).parent, tmp_path / "data")
    assert whole.manifest.parts[0].name == "b?.jsonl"


async def test_data_that_was_cut_off_is_not_current(tmp_path: Path) -> None:
    prepared = await done(write(tmp_path / "rows.jsonl", map(tower, range(5))), tmp_path / "data")
    train = prepared.dataset.train_file
    train.write_bytes(train.read_bytes()[:-20])
    assert current(tmp_path / "data") is None
    with pytest.raises(DataError, match="is damaged"):
        open_prepared(prepared.folder)
