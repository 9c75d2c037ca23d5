"""The server and its books: start, stop, keys, aborts, many at once."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from decimal import Decimal
from typing import Any

import httpx
import httpx2
import pytest

from token_meter.exceptions import ConfigError
from token_meter.simulator import Simulator, serve
from token_meter.simulator.app import App
from token_meter.simulator.bill import label_of
from token_meter.simulator.rates import cost_of
from token_meter.simulator.server import _config
from token_meter.types import Usage

HELLO: list[Any] = [{"role": "user", "content": "Say hello to the roses"}]
LONG: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": HELLO,
    "stream": True,
    "stream_options": {"include_usage": True},
}


def until(is_true: Any, seconds: float = 30.0) -> bool:
    """Wait for something that another thread does."""
    deadline = time.monotonic() + seconds
    while not is_true() and time.monotonic() < deadline:
        threading.Event().wait(0.005)
    return bool(is_true())


def test_stop_is_quick_and_leaves_no_thread() -> None:
    """Also while a client holds a stream open that would take an hour."""
    before = set(threading.enumerate())
    sim = Simulator().start()
    with httpx.Client() as client:
        url = f"{sim.base_url_with(delay=60)}/chat/completions"
        with client.stream("POST", url, json=LONG) as answer:
            began = time.monotonic()
            sim.stop()
            report_slow = time.monotonic() - began
            assert answer.status_code == 200

    assert report_slow < 3
    assert set(threading.enumerate()) <= before
    sim.stop()


def test_start_twice_is_refused() -> None:
    """One object is one server."""
    with Simulator() as sim, pytest.raises(RuntimeError, match="runs already"):
        sim.start()


def test_stopped_server_starts_again_on_its_port() -> None:
    """The books are kept, and so is the address."""
    sim = Simulator()
    with sim:
        first = sim.base_url
    with sim:
        assert sim.base_url == first
        assert httpx.get(f"{sim.url}/__bill").json()["calls"] == 0


def test_answers_do_not_wait_for_acknowledgements() -> None:
    """Nagle's algorithm is off: asyncio switches it off only for sockets that know their protocol."""
    with Simulator() as sim:
        assert sim._socket is not None
        assert sim._socket.proto == socket.IPPROTO_TCP


def test_an_idle_connection_outlives_the_clients_wish_to_use_it_again() -> None:
    """A server that closes first resets a request which is just being sent; uvicorn's default is httpx's own 5 s."""
    kept_by_clients = [http.Limits().keepalive_expiry or 0 for http in (httpx, httpx2)]

    assert _config(App()).timeout_keep_alive > max(kept_by_clients)


def test_two_servers_keep_two_books() -> None:
    """A second simulator is another provider."""
    with Simulator() as one, Simulator() as two, one.client() as client:
        client.embeddings.create(model="text-embedding-3-small", input="x")

        assert (one.bill().calls, two.bill().calls) == (1, 0)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com", "::"])
def test_public_hosts_are_refused(host: str) -> None:
    """The simulator checks no keys: it stays on this machine unless told otherwise."""
    with pytest.raises(ConfigError, match="loopback"):
        serve(host, 0)
    with pytest.raises(ConfigError, match="loopback"):
        Simulator(host)


def test_left_stream_is_billed_for_what_was_generated(sim: Simulator) -> None:
    """The client leaves after three chunks: less than all, and not nothing."""
    with sim.client(base_url=sim.base_url_with(words=300, delay=0.005)) as client:
        stream = client.chat.completions.create(**LONG)
        for _ in range(3):
            next(stream)
        stream.close()

    (entry,) = sim.bill().entries
    assert (entry.aborted, entry.delivered, entry.is_open) == (True, False, False)
    assert 0 < (entry.usage.completion_tokens or 0) < 300
    assert entry.cost == cost_of(entry.usage, entry.model, "default") != 0


def test_left_stream_is_noticed_without_any_delay(sim: Simulator) -> None:
    """A long stream fills the socket's buffers; the client does not read, then leaves, and the server detects it."""
    with sim.client(base_url=sim.base_url_with(words=20_000)) as client:
        stream = client.chat.completions.create(**LONG)
        next(stream)
        stream.close()

    assert until(lambda: sim.bill(settle_s=0).open == 0)
    assert sim.bill().aborted == 1


def test_a_client_that_leaves_a_stream_of_single_bytes_makes_no_noise(
    sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio logs a warning for every write to a socket that is gone."""
    with sim.client(base_url=sim.base_url_with(words=300, chunk=1)) as client:
        for _ in range(5):
            stream = client.chat.completions.create(**LONG)
            next(stream)
            stream.close()

    assert until(lambda: sim.bill(settle_s=0).open == 0)
    assert caplog.records == []


def test_thought_of_a_left_stream_is_billed(sim: Simulator) -> None:
    """The hidden tokens were generated before the first visible one."""
    with sim.client(base_url=sim.base_url_with(words=300, delay=0.005, reasoning=64)) as client:
        stream = client.responses.create(model="gpt-5", input="x", stream=True)
        next(stream)
        stream.close()

    usage = sim.bill().usage
    assert usage.reasoning_tokens == 64
    assert 64 <= (usage.completion_tokens or 0) < 300


async def test_cancelled_task_is_noticed(sim: Simulator) -> None:
    """A task that is cancelled in the middle of its stream leaves an aborted entry."""
    began = asyncio.Event()

    async def read() -> None:
        async with sim.async_client(base_url=sim.base_url_with(words=300, delay=0.005)) as client:
            async for _ in await client.chat.completions.create(**LONG):
                began.set()

    task = asyncio.create_task(read())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert sim.bill().aborted == 1


async def test_fifty_calls_at_once(sim: Simulator) -> None:
    """They run side by side, and the bill is their sum."""
    async with sim.async_client(base_url=sim.base_url_with(latency=0.2), timeout=30) as client:
        began = time.monotonic()
        made = await asyncio.gather(
            *(
                client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": f"question {i}"}])
                for i in range(50)
            )
        )
        report_slow = time.monotonic() - began

    bill = sim.bill()
    assert bill.total_tokens == sum(one.usage.total_tokens for one in made if one.usage)
    assert bill.calls == bill.delivered == 50
    assert report_slow < 50 * 0.2 / 2


def test_bill_over_http_is_the_bill_in_process(sim: Simulator) -> None:
    """JSON for those who run the simulator as a command."""
    with sim.client() as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
        client.embeddings.create(model="text-embedding-3-small", input="x")
    with sim.client(api_key="sim-other") as client:
        client.embeddings.create(model="text-embedding-3-small", input="x")

    one = httpx.get(f"{sim.url}/__bill", params={"key": "sim-test"}).json()
    every = httpx.get(f"{sim.url}/__bill").json()
    assert one == sim.bill().to_dict()
    assert one["by_model"]["gpt-4o-mini-2024-07-18"]["calls"] == one["by_path"]["/v1/embeddings"]["calls"] == 1
    assert every["calls"] == sim.bill(None).calls == 3
    assert every["keys"]["sim-test"] == one
    assert Decimal(every["cost"]) == sim.bill("sim-test").cost + sim.bill("sim-other").cost


def test_parts_of_a_bill_add_up(sim: Simulator) -> None:
    """By model and by path, every token and every cent is somewhere once."""
    with sim.client() as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
        client.chat.completions.create(model="o3", messages=HELLO)
        client.responses.create(model="o3", input="x")
        client.embeddings.create(model="text-embedding-3-small", input="x")

    bill = sim.bill()
    for parts in (bill.by_model, bill.by_path):
        assert sum((part.usage for part in parts.values()), Usage()) == bill.usage
        assert sum(part.cost for part in parts.values()) == bill.cost
    assert list(bill.by_path) == ["/v1/chat/completions", "/v1/responses", "/v1/embeddings"]


def test_delete_forgets_one_key_or_all(sim: Simulator) -> None:
    """`DELETE /__bill?key=` and `DELETE /__bill`."""
    for key in ("sim-a", "sim-b"):
        with sim.client(api_key=key) as client:
            client.embeddings.create(model="text-embedding-3-small", input="x")

    httpx.delete(f"{sim.url}/__bill", params={"key": "sim-a"})
    left = (sim.bill("sim-a").calls, sim.bill("sim-b").calls)
    httpx.delete(f"{sim.url}/__bill")

    assert left == (0, 1)
    assert sim.bill(None).calls == 0


def test_bill_never_shows_a_key_or_a_prompt(sim: Simulator) -> None:
    """A real-looking key is shown by a digest; no prompt or answer is stored."""
    with sim.client(api_key="sk-canary-key") as client:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "canary-prompt"}])

    shown = httpx.get(f"{sim.url}/__bill").text + repr(sim.bill(None))
    assert "canary" not in shown
    assert label_of("sk-canary-key") in shown
    assert sim.bill("sk-canary-key").calls == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 404),
        ("POST", "/v1/nothing", 404),
        ("POST", "/v1/chat/completions", 400),
        ("GET", "/v1/responses/resp_unknown", 404),
        ("GET", "/__nothing", 404),
        ("POST", "/v1/audio/transcriptions", 400),
    ],
)
def test_wrong_requests_get_errors_like_the_real_ones(sim: Simulator, method: str, path: str, status: int) -> None:
    """A JSON error body, and nothing billed."""
    answer = httpx.request(method, sim.url + path, content=b"[1, 2")

    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert sim.bill(None).calls == 0


@pytest.mark.parametrize(
    "body",
    [
        {"model": "gpt-4o"},
        {"model": "gpt-4o", "messages": []},
        {"messages": HELLO},
        {"model": "gpt-4o", "messages": HELLO, "n": 0},
        {"model": "gpt-4o", "messages": HELLO, "max_tokens": "many"},
    ],
)
def test_wrong_bodies_are_refused(sim: Simulator, body: dict[str, Any]) -> None:
    """400, as the provider would; a request and a failure, no call."""
    answer = httpx.post(f"{sim.base_url}/chat/completions", json=body)

    assert answer.status_code == 400
    assert (sim.bill(None).calls, sim.bill(None).requests, sim.bill(None).failures) == (0, 1, 1)


def test_unpriced_models_have_no_cost(sim: Simulator) -> None:
    """Tokens are billed, their cost is unknown, and the sum says how many."""
    with sim.client() as client:
        client.chat.completions.create(model="acme-7b", messages=HELLO)

    assert sim.bill().entries[0].cost is None
    assert (sim.bill().unpriced, sim.bill().cost) == (1, 0)


@pytest.mark.parametrize(
    ("usage", "model", "cost"),
    [
        (Usage(1000, 100, 1100), "gpt-4o-mini-2024-07-18", "0.00021"),
        (Usage(2000, 100, 2100, cached_tokens=1024), "gpt-4o", "0.00472"),
        (Usage(prompt_tokens=500, total_tokens=500), "text-embedding-3-small", "0.00001"),
        (Usage(audio_seconds=90.0), "whisper-1", "0.009"),
        (Usage(333, 1056, 1389, input_image_tokens=323), "gpt-image-1", "0.04552"),
    ],
)
def test_costs_are_exact(usage: Usage, model: str, cost: str) -> None:
    """Worked out by hand from the list."""
    assert cost_of(usage, model, None) == Decimal(cost)


def test_own_fixture_gives_a_fresh_bill(pytester: pytest.Pytester) -> None:
    """Users load it with one line, and every test starts at nothing."""
    pytester.makeconftest("pytest_plugins = ['token_meter.simulator.pytest_fixture']")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("turn", [1, 2])
        def test_bill(simulator, turn):
            assert simulator.bill().calls == 0
            with simulator.client() as client:
                client.embeddings.create(model="text-embedding-3-small", input="x")
            assert simulator.bill().calls == 1
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:token_meter", "-p", "no:asyncio", "-W", "error", "-q")

    result.assert_outcomes(passed=2)


def test_missing_extra_is_named() -> None:
    """Without Starlette the import says what to install."""
    code = "import sys; sys.modules['starlette'] = None; import token_meter.simulator"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "pip install 'token-meter[simulator]'" in done.stderr.splitlines()[-1]


def test_serve_prints_its_address_and_stops_on_interrupt() -> None:
    """The command's foreground server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"from token_meter.simulator import serve; serve(port={port})"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert until(lambda: _answers(port), 20)
        process.send_signal(2)
        rest = process.stdout.read()
        process.wait(20)

    assert f"base_url=http://127.0.0.1:{port}/v1" in first
    assert "latency" in rest
    assert process.returncode == 0


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/__bill").status_code == 200
    except httpx.TransportError:
        return False
