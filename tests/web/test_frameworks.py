"""docs/flask.md and docs/django.md on real servers: parallel requests of each kind, and the provider's own bill."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import token_meter
from tests.docs.pages import blocks
from tests.web.test_wsgi import url_of  # noqa: F401 - a fixture
from token_meter.ledger import read_run
from token_meter.report import Summary, summarise
from token_meter.simulator import TEST_KEY, Simulator

pytest.importorskip("flask", reason="in the dev group")
pytest.importorskip("django", reason="in the dev group")

CUSTOMERS = ("ada", "bob", "eve", "kim")
CALLS = {"meaning": 1, "awaited": 1, "stream": 1, "bouquet": 3}
"""The paths of the pages, and how many calls a request of each makes; the fourth of a bouquet is refused."""
ROUNDS = 3


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As a user has it: a key, and prices for a provider on loopback."""
    (tmp_path / "prices.toml").write_text('hosts = {"127.0.0.1" = "openai"}\n')
    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("OPENAI_BASE_URL", simulator.base_url), ("OPENAI_API_KEY", TEST_KEY), ("TOKEN_METER_PRICES", "prices.toml"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    token_meter.configure()  # prices are looked up anew
    yield
    token_meter.configure()


def write(page: str) -> None:
    """The files of a page."""
    for block in blocks(page):
        if block.kind == "file":
            Path(block.note).parent.mkdir(exist_ok=True)
            Path(block.note).write_text(block.text, encoding="utf-8")


def ask(url: str, kinds: list[str]) -> None:
    """Requests of all customers at once, of each kind."""
    jobs = [(kind, name) for kind in kinds for name in CUSTOMERS] * ROUNDS
    with httpx.Client(base_url=url, timeout=60) as client, ThreadPoolExecutor(16) as pool:

        def status(job: tuple[str, str]) -> int:
            return client.get(f"/{job[0]}/rose", headers={"x-customer": job[1]}).status_code

        found = list(pool.map(status, jobs))

    assert found == [429 if kind == "bouquet" else 200 for kind, _ in jobs]


def assert_is_the_bill(simulator: Simulator, kinds: list[str]) -> None:
    """All tokens and dollars, and each customer's calls."""
    spent: Summary = summarise(read_run("spent"), by="tag:customer")
    bill = simulator.bill(None)
    each = ROUNDS * sum(CALLS[kind] for kind in kinds)
    assert {group.id: group.totals.calls for group in spent.groups} == dict.fromkeys(CUSTOMERS, each)
    assert (spent.totals.calls, spent.totals.total_tokens) == (bill.calls, bill.total_tokens)
    assert spent.totals.cost == bill.cost > 0


def test_the_flask_app_equals_the_bill(simulator: Simulator, url_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    write("docs/flask.md")
    kinds = ["meaning", "stream", "bouquet"]
    exec(compile(Path("shop.py").read_text(), "shop.py", "exec"), names := {"__name__": "shop"})

    ask(url_of(names["app"]), kinds)

    names["client"].close()
    assert_is_the_bill(simulator, kinds)


SERVERS: dict[str, tuple[list[str], set[str]]] = {
    "runserver": (["manage.py", "runserver", "--noreload", "--skip-checks", "127.0.0.1:0"], {"awaited"}),
    "uvicorn": (["-m", "uvicorn", "mysite.asgi:application", "--port", "0", "--no-use-colors"], set()),
}


"""Commands, and what the page says not to do there: WSGI runs each async view in an event loop of its own."""


@contextmanager
def serving(words: list[str]) -> Iterator[str]:
    """The project of the page in a process; its URL."""
    process = subprocess.Popen(
        [sys.executable, "-u", *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ}
    )
    assert process.stdout is not None
    log = ""
    with ThreadPoolExecutor(1) as pool:
        try:
            while not (found := re.search(r"(?:server at|running on) (http://\S+?)/?\s", log)):
                log += (line := process.stdout.readline())
                assert line, log
            rest = pool.submit(process.stdout.read)
            yield found[1]
        finally:
            process.terminate()
            process.wait(20)
        assert "Traceback" not in rest.result(20)
        process.stdout.close()


@pytest.mark.parametrize("server", SERVERS)
def test_the_django_project_equals_the_bill(simulator: Simulator, server: str) -> None:
    """It takes seconds: a process that imports Django and the SDK."""
    from django.core.management import call_command

    call_command("startproject", "mysite", ".")
    write("docs/django.md")

    words, left_out = SERVERS[server]
    kinds = [kind for kind in CALLS if kind not in left_out]
    with serving(words) as url:
        ask(url, kinds)

    assert_is_the_bill(simulator, kinds)
