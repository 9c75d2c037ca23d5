"""One table of hostile names over every format: each reads back as text, and does nothing (F92-F97)."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from tests.report.samples import row, summary_of
from token_meter.report import FORMATS, Limit, Summary, check_limits, compare, loads, render
from token_meter.report._formatting import visible

HOSTILE = {
    "html": "<script>alert(1)</script>",
    "html attribute": '" onmouseover="alert(1)" x="',
    "html comment": "--><img src=x onerror=alert(1)>",
    "template": "{{ 7*7 }}{% raw %}",
    "style": "</style><svg onload=alert(1)>",
    "markdown table": "a | b | c",
    "markdown cell escape": "a \\| b | c",
    "markdown image": "![x](https://evil.example/beacon.png)",
    "markdown link": "[click](https://evil.example)",
    "markdown fence": "``` `` ` a ` `` ```",
    "markdown edge ticks": "`a`",
    "markdown mention": "@everyone #1 closes #2",
    "markdown details": "</details></sub><h1>owned</h1>",
    "newline": "a\nb\r\nc\u2028d\x85e",
    "csv equals": '=HYPERLINK("https://evil.example";"x")',
    "csv plus": "+1+cmd|' /C calc'!A0",
    "csv minus": "-2+3",
    "csv at": "@SUM(1)",
    "csv tab": "\t=1+1",
    "csv carriage return": "\r=1+1",
    "csv blank": "  =1+1",
    "github command": "::error file=a.py::owned",
    "github command on its own line": "x\n::set-env name=PATH::owned",
    "github command within a line": "m" * 60 + " ::error title=owned::hello",
    "github stop": "::stop-commands::token",
    "github old command": "##[set-output name=x]owned",
    "github output": "a<<EOF\nb\nEOF",
    "github property": "a,line=5::b%0Ac",
    "azure command": "##vso[task.setvariable variable=x]owned",
    "azure property": "a;type=error]b",
    "ansi": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "hyperlink": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;b3duZWQ=\x07",
    "c1": "\x9b31m\x90",
    "bidi": "test_\u202egnp.exe\u2066",
    "zero width": "gpt\u200b-4\ufeff",
    "nul": "a\x00b",
    "lone surrogate": "a\ud800b",
    "not xml": "\x01\x08\x0b\x1f\ufffe\uffff",
    "xml": "]]></testcase><x a='&lol;'>",
    "openmetrics": 'a"} 1\n# EOF\nb{c="\\',
    "long": "x" * 300,
    "empty": "",
    "blank": "   ",
    "astral": "🧪" * 20,
}


@pytest.fixture(params=HOSTILE.items(), ids=lambda item: item[0])
def name(request: pytest.FixtureRequest) -> str:
    """One hostile name."""
    return str(request.param[1])


def summary_with(name: str) -> Summary:
    """A summary with the name as test, model, file, label, limit and all else that a format shows."""
    hostile = row(f"tests/{name}.py::test_x[{name}]", n=0, model=name or "x")
    bare = row(name, n=1, model="acme-7b" if name else "m", tags=(name,))
    summary = summary_of(hostile, bare, as_model=None)
    limits = [Limit.of(g.id, "calls", 0) for g in summary.groups] + [Limit.of("run", "cost", 100)]
    return replace(summary, checks=check_limits(summary, limits), as_model=name or None)


def no_control(text: str, keep: str = "\n") -> bool:
    """Whether no character of *text* can move a cursor, hide, or turn a line around."""
    return all(c in keep or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in text)


def every_text(name: str) -> dict[str, str]:
    """The summary in every format, and its comparison with another in every format that has a face for one."""
    summary = summary_with(name)
    diff = compare(summary_with("plain"), summary, fail_on=["new.calls:0"])
    texts = {kind: render(summary, kind) for kind in FORMATS}
    return texts | {f"diff {kind}": render(diff, kind) for kind, f in FORMATS.items() if f.diff is not None}


def test_f96_no_format_writes_a_control_character(name: str) -> None:
    """Neither escape sequence, nor bidi, nor a line end of the name's own; and it can be written as UTF-8."""
    for kind, text in every_text(name).items():
        assert no_control(text), kind
        text.encode("utf-8")


def test_f95_no_name_begins_a_workflow_command(name: str) -> None:
    """GitHub reads `::command::` at the start of a line and `##[` anywhere in it; Azure `##vso[` anywhere."""
    for kind, text in every_text(name).items():
        if kind.removeprefix("diff ") in ("github", "azure"):
            continue
        for line in text.splitlines():
            assert not line.lstrip().startswith("::"), kind
            assert "##[" not in line, kind
            assert "##vso[" not in line, kind


def test_no_line_is_broken_before_a_workflow_command() -> None:
    """Wherever a table breaks its lines, what it breaks at a blank is no command on a line of its own."""
    for length in range(90):
        name = "m" * length + " ::error title=owned::hello"
        summary = replace(summary_with(name), prices=name)
        for what in (summary, compare(summary_with("plain"), summary, fail_on=["new.calls:0"])):
            text = render(what, "table")

            assert "owned" in text
            assert not [line for line in text.splitlines() if line.lstrip().startswith("::")], length


def test_a_report_that_is_read_back_is_as_inert(name: str) -> None:
    """Whoever wrote the JSON chose its price stamp, its models and its warnings too."""
    summary = summary_with(name)
    notices = tuple(replace(notice, text=name) for notice in summary.notices)
    read = loads(render(replace(summary, prices=name, created=name, notices=notices), "json"))

    for kind in FORMATS:
        assert no_control(render(read, kind)), kind
    assert no_control(render(compare(read, read), "table"))


def test_f95_github_commands_are_ours_alone(name: str) -> None:
    """Every line is one of our commands; the name is data in it."""
    for line in render(summary_with(name), "github").splitlines():
        assert re.fullmatch(r"::(error|warning|notice) (file=[^,:\n]*,)?(line=\d+,)?title=[^,:]*::.*", line), line
        assert "##[" not in line


def test_azure_commands_are_ours_alone(name: str) -> None:
    """As above, with Azure's escapes."""
    for line in render(summary_with(name), "azure").splitlines():
        ours = r"##vso\[task\.logissue type=(error|warning);(sourcepath=[^;\]]*;linenumber=\d+;)?\].*|##\[section\].*"
        assert re.fullmatch(ours, line), line
        assert line.count("##") == 1


class _Page(HTMLParser):
    """Collects tags with the names of their attributes, and text. `wbr` is left out: names have as many as they are long."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[tuple[str, ...]] = Counter()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a browser would build."""
        if tag != "wbr":
            self.tags[(tag, *(key for key, _ in attrs))] += 1
        self.attributes.update(key for key, _ in attrs)

    def handle_data(self, data: str) -> None:
        """Note what a browser would show."""
        self.text.append(data)


@pytest.mark.parametrize("kind", ["html", "diff html"])
def test_f93_html_builds_the_same_elements_for_any_name(name: str, kind: str) -> None:
    """No element or attribute comes from a name, and nothing is loaded from anywhere."""
    plain, hostile = _Page(every_text("harmless")[kind]), _Page(every_text(name)[kind])

    odd = {tag for tag in plain.tags | hostile.tags if plain.tags[tag] != hostile.tags[tag]}
    if name:  # without a name a model is another one, and a warning less is shown
        assert odd <= ({("span", "class")} if "::" in name else set())  # what is before `::` is shown as a file
    assert hostile.tags.keys() <= plain.tags.keys()
    assert hostile.attributes <= plain.attributes
    assert not {tag[0] for tag in hostile.tags} & {"script", "img", "link", "iframe", "a", "form"}
    assert not hostile.attributes & {"src", "href", "srcset", "onerror", "onload", "onmouseover"}


def test_html_shows_the_name_once_decoded(name: str) -> None:
    """Escaped once, not twice: a reader sees what the name was."""
    page = _Page(render(summary_with(name), "html"))

    assert visible(name) in "".join(page.text)


def test_f97_junit_is_xml_that_reads_back(name: str) -> None:
    """XML 1.0 forbids most control characters even as references."""
    tree = ElementTree.fromstring(render(summary_with(name), "junit"))

    assert {e.tag for e in tree.iter()} <= {
        "testsuites", "testsuite", "properties", "property", "testcase", "failure", "skipped", "system-out",
    }  # fmt: skip
    assert len(tree.findall(".//testcase")) == len(summary_with(name).checks)


def test_f92_csv_has_no_formula(name: str) -> None:
    """A spreadsheet takes a cell that begins with `= + - @` or a tab for a formula."""
    rows = list(csv.reader(io.StringIO(render(summary_with(name), "csv"))))

    assert {len(cells) for cells in rows} == {len(rows[0])}
    assert len(rows) == 1 + sum(len(g.models) for g in summary_with(name).groups)
    for cells in rows:
        assert not any(cell.lstrip()[:1] in ("=", "+", "-", "@") and cell for cell in cells)


def test_json_reads_back_in_ascii(name: str) -> None:
    """Plain JSON, and in the report the name is what it was."""
    texts = [render(summary_with(name), kind) for kind in ("json", "gitlab-codequality", "benchmark")]
    report, *_ = (json.loads(text) for text in texts)

    assert all(text.isascii() for text in texts)
    assert f"tests/{name}.py::test_x[{name}]" in [c["id"] for c in report["contexts"]]


SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")


def test_f94_markdown_holds_names_in_code_spans_only(name: str) -> None:
    """By GitHub's rules nothing inside a code span is a link, image, mention or tag."""
    texts = every_text(name)
    for kind in ("md", "buildkite", "diff md"):
        for line in texts[kind].splitlines()[1:]:
            outside = SPAN.sub("CODE", line)
            assert "`" not in outside, kind
            assert not re.search(r"<(?!/?(details|summary|sub)\b)|!\[|\]\(|@", outside), (kind, line)


def test_f94_markdown_cells_stay_cells(name: str) -> None:
    """Every row of a table has as many unescaped bars as its head: GitHub splits cells before it reads code spans."""
    bars = None
    texts = every_text(name)
    for line in (texts["md"] + texts["diff md"]).splitlines():
        if not line.startswith("|"):
            bars = None
            continue
        found = len(re.findall(r"(?<!\\)\|", line))
        bars = bars or found
        assert found == bars, line


def test_openmetrics_reads_back(name: str) -> None:
    """The strict parser of prometheus_client is the judge."""
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")

    families = {f.name: f for f in parser.text_string_to_metric_families(render(summary_with(name), "openmetrics"))}

    assert families["token_meter_calls"].samples[0].value == 2
    assert len(families["token_meter_model_cost_usd"].samples) == 1 if name else 2
