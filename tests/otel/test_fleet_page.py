"""The service of docs/fleet.md, as its page has it: workers of gunicorn, a ledger, budgets, and the page's collector."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from tests.otel.receiver import Receiver
from token_meter import Budget
from token_meter.cli import main
from token_meter.simulator import Simulator

PAGE = (Path(__file__).parents[2] / "docs" / "fleet.md").read_text("utf-8")
COMMANDS = re.findall(
    r"^\$ (?:\w+=\S+ )?token-meter ((?:report|budget|reconcile) .*)$", PAGE.split("## A ledger of")[0], re.MULTILINE
)
APP, CONF, COLLECTOR = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[:3]
CUSTOMERS = 3
ASKED = int(os.environ.get("FLEET_REQUESTS", "36"))  # 10,000 passed by hand, 2026-11-27
PATIENCE_S = 60 + ASKED / 10
TWO_MORE = """
threads = 2


def exporters(url):
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import ObservableCounter
    from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader

    for kind in (AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA):
        exporter = OTLPMetricExporter(f"{url}/{kind.name}", preferred_temporality={ObservableCounter: kind})
        yield PeriodicExportingMetricReader(exporter, export_interval_millis=100)
"""
"""Beside the page's exporter: one of each kind, which tell what they know all the time."""


class Fleet:
    """Two workers of two threads, what the page's collector knows, and what a receiver of both kinds of sums knows."""

    def __init__(self, folder: Path, simulator: Simulator) -> None:
        self._folder, self._known = folder, dict[Any, float]()
        space: dict[str, Any] = {"__name__": "collector", "print": lambda *_, **__: None}
        exec(COLLECTOR, space)  # as the page has it, in this process
        self._known = space["known"]
        self.collector = ThreadingHTTPServer(("127.0.0.1", 0), space["Collector"])
        threading.Thread(target=self.collector.serve_forever, args=(0.01,), daemon=True).start()
        self.receiver = Receiver()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (folder / "app.py").write_text(APP.replace("max_cost=5", 'max_cost=os.environ["LIMIT"]'))
        conf = CONF.replace("workers = 4", "workers = 2").replace(":4318/", f":{self.collector.server_port}/")
        conf = conf.replace("MeterProvider([reader])", f"MeterProvider([reader, *exporters('{self.receiver.url}')])")
        (folder / "gunicorn.conf.py").write_text(conf + TWO_MORE)
        (folder / "prices.toml").write_text(f'[hosts]\n"{simulator.url}" = "openai"\n')
        env = {
            **os.environ, "OPENAI_BASE_URL": simulator.base_url, "OPENAI_API_KEY": "sim-test",
            "TOKEN_METER_PRICES": "prices.toml", "LIMIT": "5" if ASKED > 1_000 else "0.0002",
        }  # fmt: skip
        command = [sys.executable, "-m", "gunicorn", "app:app", "--bind", f"127.0.0.1:{port}"]
        with (folder / "log").open("w") as log:
            self.running = subprocess.Popen(
                command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
            )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S)

    def wait(self) -> None:
        """Until both workers have begun to serve."""
        until = time.monotonic() + PATIENCE_S
        while self.log().count("Booting worker") < 2:
            assert self.running.poll() is None, self.log()
            assert time.monotonic() < until, self.log()
            time.sleep(0.05)

    def log(self) -> str:
        """What the server wrote; of much, the end."""
        return (self._folder / "log").read_text("utf-8", "replace")[-20_000:]

    def ask(self, number: int) -> tuple[str, int]:
        """A request of one of the customers, and the status of its answer."""
        customer = str(number % CUSTOMERS)
        return customer, self.client.get("/", headers={"x-customer": customer}).status_code

    def report(self, by: str) -> dict[str, Any]:
        """`token-meter report calls --all --by ...`."""
        words = ["report", str(self._folder / "calls"), "--all", "--by", by, "-f", "json"]
        done = CliRunner().invoke(main, [*words, "--prices", str(self._folder / "prices.toml")])
        assert done.exit_code in (0, 3), done.output  # 3: a limit refused calls, which is what it is for
        found: dict[str, Any] = json.loads(done.stdout, parse_float=Decimal)
        return found

    def told(self) -> dict[str, float]:
        """The sums of the collector, by metric."""
        names = {name for name, *_ in self._known}
        return {name: sum(value for key, value in self._known.items() if key[0] == name) for name in names}


@pytest.fixture
def fleet(tmp_path: Path, simulator: Simulator) -> Iterator[Fleet]:
    pytest.importorskip("gunicorn")
    simulator.reset()
    made = Fleet(tmp_path, simulator)
    try:
        made.wait()
        yield made
    finally:
        made.client.close()
        if made.running.poll() is None:
            os.killpg(made.running.pid, signal.SIGKILL)
        made.running.wait()
        made.collector.shutdown()
        made.collector.server_close()
        made.receiver.close()


def test_the_page_holds_while_it_runs_and_after_sigterm(
    fleet: Fleet, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reports by customer and by day, budgets and the collector all say what the provider billed."""
    with ThreadPoolExecutor(4) as pool:
        answered = list(pool.map(fleet.ask, range(ASKED)))
    served = [customer for customer, status in answered if status == 200]
    bill = simulator.bill()
    running = {by: fleet.report(by) for by in ("tag:customer", "day")}
    fleet.running.send_signal(signal.SIGTERM)
    assert fleet.running.wait(PATIENCE_S) == 0, fleet.log()
    ended = {by: fleet.report(by) for by in ("tag:customer", "day")}

    assert {status for _, status in answered} == ({200} if ASKED > 1_000 else {200, 429}), fleet.log()
    assert bill.calls == len(served)
    for reports in (running, ended):
        for report in reports.values():
            assert (report["totals"]["calls"], report["totals"]["tokens"]["total_tokens"]) == (
                bill.calls,
                bill.total_tokens,
            )
            assert report["totals"]["cost"] == bill.cost
        groups = {group["id"]: group["calls"] for group in reports["tag:customer"]["contexts"]}
        assert groups == {customer: served.count(customer) for customer in set(served)}
    assert ended["day"]["run"]["running_processes"] == 0
    store = f"sqlite:///{tmp_path / 'budgets.db'}"
    spent = [Budget(f"customer:{n}", max_cost=5, per="day", store=store).read() for n in range(CUSTOMERS)]
    assert sum(budget.spent.cost for budget in spent) == bill.cost
    assert all(budget.held.calls == 0 for budget in spent)
    for told in (fleet.told(), fleet.receiver.totals("/CUMULATIVE"), fleet.receiver.totals("/DELTA")):
        assert told["token_meter.calls"] == bill.calls
        assert told["token_meter.usage.input_tokens"] + told["token_meter.usage.output_tokens"] == bill.total_tokens
        assert told["token_meter.cost"] == pytest.approx(float(bill.cost), rel=1e-9)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN_METER_PRICES", "prices.toml")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sim-admin")
    said = [
        CliRunner().invoke(main, words.replace("http://127.0.0.1:8123", simulator.url).split()) for words in COMMANDS
    ]
    assert [done.exit_code in (0, 3) for done in said] == [True] * 4, [done.output for done in said]
    assert f"{bill.total_tokens:,} tokens billed, {bill.total_tokens:,} here" in said[-1].stdout
    assert "unexplained: 0.00 % of the bill" in said[-1].stdout
