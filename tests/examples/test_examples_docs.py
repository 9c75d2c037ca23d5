"""The page of examples shows what the programs print, and the programs are such as a reader should write."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from tests.examples import docs
from tests.examples.programs import EXAMPLES, ROOT, load, names, steady

PAGE = docs.PAGE.read_text(encoding="utf-8")
PICTURE = docs.PICTURE.read_text(encoding="utf-8")
README = (EXAMPLES / "README.md").read_text(encoding="utf-8")
PLAIN = [name for name, _ in docs.PLAIN]
SOURCES = sorted(path.stem for path in EXAMPLES.glob("*.py"))


def test_the_page_shows_what_the_programs_print(ran):
    """The page is up to date; if not: python -m tests.examples.docs"""
    assert steady(PAGE) == steady(docs.page(ran))


def test_the_picture_is_the_one_that_the_program_draws(ran):
    """Byte for byte, on every machine."""
    assert (ran("memories").folder / "memory.svg").read_text(encoding="utf-8") == PICTURE


@pytest.mark.parametrize("name", names())
def test_every_program_is_listed(name):
    """In the README of the folder, with a line of its own."""
    assert re.search(rf"^\| \[`{name}\.py`\]\({name}\.py\) \| .+ \|$", README, re.MULTILINE)


def test_every_plain_program_is_on_the_page():
    """None is forgotten, none is there twice."""
    assert sorted(PLAIN) == sorted(name for name in names() if not name.startswith("langchain_"))
    assert len(set(PLAIN)) == len(PLAIN)


@pytest.mark.parametrize("name", SOURCES)
def test_a_program_uses_public_names_only(name):
    """What a reader copies must not lean on what may change."""
    tree = ast.parse((EXAMPLES / f"{name}.py").read_text(encoding="utf-8"))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]

    private = [m for m in modules if m.startswith("token_meter") and any(part[0] == "_" for part in m.split("."))]
    assert private == []


@pytest.mark.parametrize("name", names())
def test_a_program_can_be_run_by_itself_and_by_others(name):
    """It says what it shows, has a `main` that takes a service, and runs it when it is started."""
    tree = ast.parse((EXAMPLES / f"{name}.py").read_text(encoding="utf-8"))
    said = ast.get_docstring(tree) or ""
    mains = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main"]

    assert said.split("\n\n")[0].endswith(".")
    assert [[arg.arg for arg in main.args.args] for main in mains] == [["service"]]
    assert ast.unparse(tree.body[-1]).startswith("if __name__ == '__main__':\n    run(main")


def test_started_from_a_shell_a_program_prints_what_the_page_shows(tmp_path):
    """`python examples/dialogue.py`, from anywhere, and without a key."""
    done = _start("dialogue.py", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert f"```text\n{done.stdout}```" in PAGE


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--live"], "--live talks to the real service, costs money, and needs OPENAI_API_KEY in the environment\n"),
        (["--fast"], "usage: python .*dialogue.py \\[--live\\]\n"),
    ],
)
def test_a_program_that_cannot_start_says_why(arguments, said, tmp_path):
    """Without a key nothing is asked of the real service."""
    done = _start("dialogue.py", *arguments, cwd=tmp_path)

    assert done.returncode == 1
    assert re.fullmatch(said, done.stderr)
    assert done.stdout == ""


def _start(name, *arguments, cwd):
    environment = {key: value for key, value in os.environ.items() if key != "OPENAI_API_KEY"}
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=cwd,
        env={**environment, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


# The picture.


def test_the_picture_stands_alone():
    """One well-formed file: no script, no font, no link, nothing that a viewer would fetch."""
    root = ElementTree.fromstring(PICTURE)

    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert {element.tag.rpartition("}")[2] for element in root.iter()} == {
        "svg", "title", "desc", "style", "rect", "path", "text",
    }  # fmt: skip
    assert not re.search(r"href|url\(|@import|@font-face|<script|\bon\w+=", PICTURE)


def test_the_picture_tells_its_numbers_to_who_cannot_see_it(ran):
    """The description has every curve's readings."""
    desc = ElementTree.fromstring(PICTURE).findtext("{http://www.w3.org/2000/svg}desc") or ""

    for name, readings in ran("memories").result[1].items():
        means = [sum(turn) / len(turn) for turn in zip(*[reading.tokens for reading in readings], strict=True)]
        assert f"{name}: {', '.join(f'{mean:.0f}' for mean in means)}" in desc


@pytest.mark.parametrize("page", ["light", "dark"])
def test_the_picture_is_legible_on_light_and_dark_pages(page):
    """Every text stands out from the paper by 4.5 to 1 at least, as WCAG asks for."""
    light, _, dark = PICTURE.partition("@media (prefers-color-scheme: dark)")
    style = {"light": light, "dark": dark}[page]
    (paper,) = re.findall(r"\.paper\{fill:(#\w+)", style)
    inks = re.findall(r"\.(?:ink|dim|n\d)\{fill:(#\w+)", style)

    assert len(inks) == 2 + 6
    assert min(_contrast(paper, ink) for ink in inks) >= 4.5


def _contrast(a: str, b: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(a), luminance(b)))
    return (light + 0.05) / (dark + 0.05)


def test_labels_do_not_cover_each_other():
    """Curves that end together have labels one under the other."""
    places = sorted(float(y) for y in re.findall(r'class="name n\d" x="\d+" y="([\d.]+)"', PICTURE))

    assert len(places) == 6
    assert all(after - before >= 17 for before, after in pairwise(places))


@pytest.mark.parametrize("most", [1, 7, 99, 1234, 56_789])
def test_a_chart_of_any_size_has_a_few_round_ticks(most):
    """From 0 to above the highest value, in at most eight steps."""
    chart = load("_chart")
    top, ticks = chart._ticks([chart.Curve("a", "a", [0], [most / 2], [most])])

    assert ticks[0] == 0
    assert most <= top == ticks[-1]
    assert 2 <= len(ticks) <= 8
