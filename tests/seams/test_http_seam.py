"""Where HTTP calls are seen: installed once, for any order of imports, and removed without a trace."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import textwrap
from typing import Any

import httpx
import httpx2
import pytest

import token_meter
from tests.conftest import CHAT_BODY, ORIGINALS
from token_meter import BlindSpotWarning, meter
from token_meter.runtime.hub import HUB

URL = "https://api.openai.com/v1/chat/completions"
LIBRARIES = [httpx2, httpx]


def _transport(library: Any, body: Any = CHAT_BODY, status: int = 200) -> Any:
    return library.MockTransport(lambda _: library.Response(status, json=body))


def _run(code: str, *flags: str) -> str:
    """What a fresh interpreter prints; warnings are errors there too."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *flags, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_raw_post_to_an_openai_url_is_counted(library):
    """No SDK needed: the URL tells."""
    with meter() as cb, library.Client(transport=_transport(library)) as client:
        client.post(URL, json={"model": "gpt-4o-mini", "messages": []})

    assert cb.total_tokens == 15


@pytest.mark.parametrize("library", LIBRARIES)
def test_other_traffic_is_not_ours(library):
    """A GET, an unknown path, an estimate endpoint."""
    with meter() as cb, library.Client(transport=_transport(library)) as client:
        client.get(URL)
        client.post("https://example.com/api/orders", json={})
        client.post("https://api.openai.com/v1/responses/input_tokens", json={})

    assert (cb.successful_requests, cb.total_tokens) == (0, 0)


@pytest.mark.parametrize("library", LIBRARIES)
def test_f105_the_request_may_be_given_by_name(library):
    """`send(request=...)` is forwarded as it came."""
    with meter() as cb, library.Client(transport=_transport(library)) as client:
        client.send(request=library.Request("POST", URL, json={"model": "m"}), stream=False)

    assert cb.total_tokens == 15


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_client_made_before_the_first_meter_is_seen(library):
    """Classes are patched, not objects."""
    with library.Client(transport=_transport(library)) as client:
        with meter() as cb:
            client.post(URL, json={})

    assert cb.total_tokens == 15


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_subclass_that_overrides_send_is_seen_once(library):
    """As long as it calls its base, as it must."""

    class Own(library.Client):
        def send(self, *args: Any, **kwargs: Any) -> Any:
            return super().send(*args, **kwargs)

    with meter() as cb, Own(transport=_transport(library)) as client:
        client.post(URL, json={})

    assert (cb.total_tokens, cb.successful_requests) == (15, 1)


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_event_hook_that_closed_the_body_leaves_an_unmeasured_call(library):
    """We never read a body for ourselves."""

    def close(response: Any) -> None:
        response.stream = library.ByteStream(b"")
        response.close()

    transport = library.MockTransport(
        lambda _: library.Response(200, stream=library.ByteStream(json.dumps(CHAT_BODY).encode()))
    )
    with meter() as cb, library.Client(transport=transport, event_hooks={"response": [close]}) as client:
        with client.stream("POST", URL, json={}):
            pass

    assert (cb.successful_requests, cb.unmeasured_calls) == (1, 1)


@pytest.mark.parametrize("library", LIBRARIES)
def test_f108_elapsed_and_unknown_attributes(library):
    """`response.elapsed` works as without a meter."""
    transport = library.MockTransport(lambda _: library.Response(200, stream=library.ByteStream(b"{}")))
    with meter(), library.Client(transport=transport) as client:
        with client.stream("POST", URL, json={}) as response:
            response.read()

    assert response.elapsed.total_seconds() >= 0


@pytest.mark.parametrize("library", LIBRARIES)
def test_f30_f38_an_in_process_gateway_is_counted_once(library):
    """The outer answer repeats the inner one: same id, same usage."""
    inner = library.Client(transport=_transport(library))
    outer = library.Client(
        transport=library.MockTransport(lambda _: library.Response(200, content=inner.post(URL, json={}).content))
    )
    with meter() as cb, inner, outer:
        outer.post("http://gateway.internal/v1/chat/completions", json={})

    assert cb.total_tokens == 15


def test_a_redirect_counts_only_its_last_answer():
    """`history` is never read."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.host == "api.openai.com":
            return httpx2.Response(
                307, headers={"location": "https://other.example/v1/chat/completions"}, json=CHAT_BODY
            )
        return httpx2.Response(200, json=CHAT_BODY)

    with meter() as cb, httpx2.Client(transport=httpx2.MockTransport(answer), follow_redirects=True) as client:
        client.post(URL, json={})

    assert (cb.total_tokens, cb.successful_requests, cb.failed_requests) == (15, 1, 0)


def test_f104_uninstall_restores_the_classes():
    """And a meter that is still open simply hears nothing more."""
    with meter() as cb:
        token_meter.uninstall()
        for (owner, name), original in ORIGINALS.items():
            assert owner.__dict__[name] is original
        with httpx2.Client(transport=_transport(httpx2)) as client:
            client.post(URL, json={})

    assert cb.total_tokens == 0


def test_f104_a_patch_on_top_is_left_alone():
    """Taking ours out would take theirs out; ours only passes calls on, until the next meter."""
    ours = []
    with meter() as first:
        under = httpx2.Client.__dict__["send"]

        def theirs(client: Any, *args: Any, **kwargs: Any) -> Any:
            request = args[0] if args else kwargs["request"]
            if request.url.host == "api.openai.com":  # and not our self-test, which passes here too
                ours.append("theirs")
            return under(client, *args, **kwargs)

        httpx2.Client.send = theirs  # type: ignore[method-assign]
        try:
            token_meter.uninstall()
            assert httpx2.Client.__dict__["send"] is theirs
            with httpx2.Client(transport=_transport(httpx2)) as client:
                client.post(URL, json={})
                with meter() as second:
                    client.post(URL, json={})
        finally:
            httpx2.Client.send = under  # type: ignore[method-assign]

    assert ours == ["theirs", "theirs"]
    assert (first.total_tokens, second.total_tokens) == (15, 15)


def test_f104_a_patch_that_removed_ours_is_patched_over():
    """Somebody's restore took us out silently: the next meter is seen all the same."""
    original = ORIGINALS[httpx2.Client, "send"]
    with meter():
        pass
    httpx2.Client.send = original  # type: ignore[method-assign]
    token_meter.uninstall()
    with meter() as cb, httpx2.Client(transport=_transport(httpx2)) as client:
        client.post(URL, json={})

    assert cb.total_tokens == 15


def test_f110_a_missing_seam_warns(monkeypatch):
    """The self-test at install says that calls through this library are not seen."""

    class Deaf:
        pass

    monkeypatch.setattr(httpx2, "Client", Deaf)
    with pytest.warns(BlindSpotWarning, match="httpx2"), meter():
        pass
    HUB.internal_errors.clear()


def test_the_self_test_leaves_no_line_in_the_librarys_log(caplog):
    """httpx logs each request at INFO; ours goes nowhere and says nothing."""
    with caplog.at_level(logging.DEBUG), meter():
        pass

    assert caplog.records == []


def test_f112_a_library_imported_in_the_block_is_seen():
    """Its classes are patched as soon as its module has run."""
    printed = _run(
        """
        import sys
        from token_meter import meter
        with meter() as cb:
            assert "httpx" not in sys.modules and "httpx2" not in sys.modules
            import json, httpx, httpx2
            for library in (httpx, httpx2):
                body = {"model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
                transport = library.MockTransport(lambda r: library.Response(200, json=body))
                with library.Client(transport=transport) as client:
                    client.post("https://api.openai.com/v1/chat/completions", json={})
                assert type(library.__spec__.loader).__module__ != "token_meter.patching.import_hook"
        print(cb.total_tokens)
        """
    )

    assert printed == "6"


def test_f40_an_alias_of_the_library_is_patched_once():
    """`httpx2.alias_httpx()` makes two names one class."""
    printed = _run(
        """
        import httpx2
        httpx2.alias_httpx()
        import httpx
        assert httpx.Client is httpx2.Client
        from token_meter import meter
        body = {"model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
        with meter() as cb:
            transport = httpx.MockTransport(lambda r: httpx.Response(200, json=body))
            with httpx.Client(transport=transport) as client:
                client.post("https://api.openai.com/v1/chat/completions", json={})
        print(cb.total_tokens, cb.successful_requests)
        """
    )

    assert printed == "3 1"


def test_f112_importing_imports_nothing_heavy():
    """The door is light; the rest comes with the first meter."""
    heavy = ["openai", "httpx", "httpx2", "pydantic", "tiktoken", "genai_prices", "click", "pytest", "asyncio"]
    printed = _run(f"import sys, token_meter; print([m for m in {heavy!r} if m in sys.modules])")

    assert printed == "[]"


def test_f112_a_meter_imports_no_sdk():
    """A program without the SDK gets a meter that reads 0, and imports nothing for it."""
    printed = _run(
        """
        import sys
        from token_meter import meter
        with meter() as cb:
            pass
        sdks = ("openai", "anthropic", "google.genai", "boto3", "botocore", "aiobotocore")
        under = ("httpx", "httpx2", "aiohttp", "requests", "urllib3", "http.client", "pydantic")
        print(cb.total_tokens, [m for m in (*sdks, *under) if m in sys.modules])
        """
    )

    assert printed == "0 []"


def test_f41_a_second_copy_counts_in_its_own_meters():
    """Two copies on the path, or a reload: neither counts twice."""
    printed = _run(
        """
        import importlib, sys, httpx2
        import token_meter
        from token_meter import meter as first
        with first():
            pass
        for name in [n for n in sys.modules if n.startswith("token_meter")]:
            del sys.modules[name]
        from token_meter import meter as second
        assert second is not first
        body = {"model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
        transport = httpx2.MockTransport(lambda r: httpx2.Response(200, json=body))
        with first() as a, second() as b, httpx2.Client(transport=transport) as client:
            client.post("https://api.openai.com/v1/chat/completions", json={})
        print(a.total_tokens, b.total_tokens)
        """
    )

    assert printed == "3 3"


async def test_http2_is_read_like_http1(monkeypatch):
    """The seam sits above the protocol."""
    async with httpx2.AsyncClient(transport=_transport(httpx2), http2=True) as client:
        with meter() as cb:
            await client.post(URL, json={})

    assert cb.total_tokens == 15
