"""The three places to attach: the block, the client, the request. Told once, in order, and gone when they are gone."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import httpx
import httpx2
import openai
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI

import token_meter
from tests.conftest import CHAT_BODY
from tests.handlers.conftest import MESSAGES, Colour, Told, answered
from token_meter import ConfigError, attach, callbacks, detach, meter
from token_meter.runtime.hub import HUB

COPYING = [
    (cls, name) for cls in (OpenAI, AsyncOpenAI, AzureOpenAI, AsyncAzureOpenAI) for name in ("copy", "with_options")
]
ORIGINAL = {(cls, name): cls.__dict__[name] for cls, name in COPYING}


async def test_a_client_is_listened_to_without_any_meter(colour, told):
    """`attach` alone is enough, and gives the client back."""
    client = colour.client()

    assert attach(client, handlers=[told]) is client
    await colour.ask(client)

    assert told.events == ["start", "end"]
    assert told.keywords[-1]["meter"] is None
    assert told.args[-1].cost > 0


async def test_request_callbacks_work_without_any_meter(colour, told):
    """`callbacks` alone is enough."""
    client = colour.client()

    with callbacks(told):
        await colour.ask(client)
    await colour.ask(client)

    assert told.events == ["start", "end"]


async def test_callbacks_are_an_async_block_too(colour, told):
    """`async with` does the same."""
    async with callbacks(told):
        await colour.ask(colour.client())

    assert told.events == ["start", "end"]


async def test_a_handler_at_all_three_places_is_told_once(colour, told):
    """However often it is attached, and in however many meters, a handler hears an event once."""
    client = attach(attach(colour.client(), handlers=[told]), handlers=[told])

    with meter(handlers=[told, told]), meter(handlers=[told]), callbacks(told, told):
        await colour.ask(client)

    assert told.events == ["start", "end"]


async def test_a_bound_method_at_two_places_is_told_once(colour):
    """A bound method is a new object at each look-up, and still one handler."""
    calls: list[Any] = []

    class Log:
        def note(self, call: Any) -> None:
            calls.append(call)

    log, other = Log(), Log()
    with meter(handlers=[log.note]), callbacks(log.note, other.note):
        await colour.ask(colour.client())

    assert len(calls) == 2


async def test_the_append_of_a_list_at_two_places_is_told_once(colour):
    """`calls.append` is a new object at each look-up too, and the README's own handler."""
    calls: list[Any] = []
    others: list[Any] = []
    with meter(handlers=[calls.append]), callbacks(calls.append, others.append):
        await colour.ask(colour.client())

    assert (len(calls), len(others)) == (1, 1)


async def test_the_order_is_client_then_blocks_from_the_outermost_then_request(colour):
    """Handlers are told from the widest place to the narrowest, and in their order at each."""
    order: list[str] = []

    def note(name: str) -> Any:
        return lambda call: order.append(name)

    client = attach(colour.client(), handlers=[note("client 1"), note("client 2")])
    with meter(scope="process", handlers=[note("process")]):
        with meter(handlers=[note("outer 1"), note("outer 2")]), meter(handlers=[note("inner")]):
            with callbacks(note("request 1"), note("request 2")):
                await colour.ask(client)

    assert order == ["client 1", "client 2", "process", "outer 1", "outer 2", "inner", "request 1", "request 2"]


@pytest.mark.parametrize("copied", ["with_options", "copy"])
async def test_copies_of_a_client_are_listened_to(colour, told, copied):
    """What is attached to a client is attached to its later copies, and to theirs."""
    client = attach(colour.client(), handlers=[told])

    await colour.ask(getattr(getattr(client, copied)(timeout=5), copied)(max_retries=1))

    assert told.events == ["start", "end"]


async def test_a_copy_with_another_http_client_is_listened_to(colour, told):
    """It is the SDK's client that was attached to, not what it sends with."""
    client = attach(colour.client(lambda _: pytest.fail("the original's transport")), handlers=[told])

    await colour.ask(client.with_options(http_client=colour.http()))

    assert told.events == ["start", "end"]


async def test_a_client_that_shares_the_http_client_is_not_listened_to(colour, told):
    """LangChain's clients share one HTTP client: attaching to one does not touch its siblings."""
    shared = colour.http()
    cls = AsyncOpenAI if colour.is_async else OpenAI
    attach(cls(api_key="sk-x", http_client=shared), handlers=[told])

    await colour.ask(cls(api_key="sk-x", http_client=shared))

    assert told.events == []


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
async def test_a_plain_http_client_is_listened_to(colour, told, library):
    """Calls without any SDK are heard on the HTTP client that makes them."""
    transport = library.MockTransport(lambda _: library.Response(200, json=CHAT_BODY))
    cls = library.AsyncClient if colour.is_async else library.Client
    client = attach(cls(transport=transport), handlers=[told])

    await colour.post(client)

    assert told.events == ["start", "end"]


async def test_an_sdk_client_speaks_through_an_attached_http_client(colour, told):
    """A handler on the HTTP client hears the SDK that uses it."""
    shared = attach(colour.http(), handlers=[told])

    cls = AsyncOpenAI if colour.is_async else OpenAI
    await colour.ask(cls(api_key="sk-x", http_client=shared))

    assert told.events == ["start", "end"]


async def test_azure_clients_are_listened_to(colour, told):
    """Azure's clients are clients of the SDK; the model is the deployment."""
    cls = AsyncAzureOpenAI if colour.is_async else AzureOpenAI
    client = cls(api_key="x", api_version="1", azure_endpoint="https://a.openai.azure.com", http_client=colour.http())
    attach(client, handlers=[told])

    await colour.ask(client.with_options(timeout=1), model="prod")

    assert told.events == ["start", "end"]
    assert told.keywords[0]["model"] == "prod"


async def test_raw_and_bound_methods_of_an_attached_client_are_heard(colour, told):
    """`with_raw_response` and methods kept from before attaching pass through the same client."""
    client = colour.client()
    raw, bound = client.chat.completions.with_raw_response.create, client.chat.completions.create
    attach(client, handlers=[told])

    for create in (raw, bound):
        result = create(model="gpt-4o-mini", messages=MESSAGES)
        if colour.is_async:
            await result

    assert told.events == ["start", "end"] * 2


async def test_detached_handlers_are_told_no_more(colour):
    """`detach` takes off one handler, or all."""
    one, two = Told(), Told()
    client = attach(colour.client(), handlers=[one, two])

    detach(client, handlers=[one])
    await colour.ask(client)
    detach(client)
    await colour.ask(client)

    assert (one.events, two.events) == ([], ["start", "end"])
    assert HUB.is_listening is False


async def test_detaching_what_was_never_attached_is_no_error(colour):
    """Cleaning up twice is fine."""
    client = colour.client()

    assert detach(client) is client


async def test_nothing_of_ours_is_left_on_the_client(colour, told):
    """The user's object has the attributes that it had."""
    client = colour.client()
    before = set(vars(client))

    attach(client, handlers=[told])

    assert set(vars(client)) == before


async def test_an_attached_client_can_die(colour):
    """Neither the attachment nor its handlers outlive the client; after it, requests are not observed."""
    told = Told()
    client = attach(colour.client(), handlers=[told])
    await colour.ask(client)
    http_client, gone = client._client, weakref.ref(client)
    handler = weakref.ref(told)
    # The async SDK looks at the platform in a thread, which may hold the call's context a moment longer than the call.
    await asyncio.get_running_loop().shutdown_default_executor()

    del client, told
    gc.collect()

    assert (gone(), handler(), HUB.is_listening) == (None, None, False)
    del http_client


def test_uninstall_takes_the_copy_hooks_out_too():
    """After `uninstall` the SDK's classes are as they were."""
    attach(Colour("sync").client(), handlers=[Told()])
    during = {key for key in ORIGINAL if key[0].__dict__[key[1]] is not ORIGINAL[key]}

    token_meter.uninstall()

    assert {name for cls, name in during if cls is OpenAI} == {"copy", "with_options"}
    assert all(cls.__dict__[name] is ORIGINAL[cls, name] for cls, name in COPYING)


async def test_after_uninstall_a_new_meter_brings_the_attachment_back(colour, told):
    """What is attached stays attached; only the seams come and go."""
    client = attach(colour.client(), handlers=[told])
    token_meter.uninstall()
    await colour.ask(client)
    assert told.events == []

    with meter():
        await colour.ask(client.with_options(timeout=1))

    assert told.events == ["start", "end"]


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (lambda: OpenAI, "the class OpenAI, not an instance"),
        (lambda: OpenAI(api_key="x").chat.completions, "Completions; its client is its attribute _client"),
        (lambda: "client", "this is str"),
        (lambda: openai, "this is module"),
    ],
    ids=["class", "resource", "string", "module"],
)
def test_what_is_no_client_is_refused(thing, text):
    """The error says what was given, and where the client is."""
    with pytest.raises(ConfigError, match=text):
        attach(thing(), handlers=[Told()])


async def test_a_task_inherits_request_callbacks_and_keeps_them_to_their_block():
    """A task of the block is heard; when it calls after the block, it is not."""
    colour, told = Colour("async"), Told()
    client, ticket = colour.client(), asyncio.Event()

    async def work() -> None:
        await colour.ask(client)
        await ticket.wait()
        await colour.ask(client)

    with callbacks(told):
        task = asyncio.create_task(work())
        while not told.events[1:]:
            await asyncio.sleep(0)
    ticket.set()
    await task

    assert told.events == ["start", "end"]


def test_threads_inherit_request_callbacks():
    """Threads are carried for handlers as they are for meters, with no meter open."""
    client, told = Colour("sync").client(), Told()

    with callbacks(told):
        thread = threading.Thread(target=lambda: client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES))
        thread.start()
        thread.join()

    assert told.events == ["start", "end"]


async def test_siblings_do_not_hear_each_other():
    """Two gathered tasks with callbacks of their own hear their own calls."""
    colour = Colour("async")
    client = colour.client()
    ears = [Told(), Told(), Told()]

    async def customer(number: int) -> None:
        with callbacks(ears[number]):
            for _ in range(number):
                await colour.ask(client)

    await asyncio.gather(*(customer(number) for number in range(3)))

    assert [told.events.count("end") for told in ears] == [0, 1, 2]


async def test_a_stream_opened_in_the_block_and_read_after_it_is_told(colour, told):
    """Handlers are bound at departure, like meters."""
    from tests.handlers.conftest import USAGE, piece, sse, streamed

    with callbacks(told):
        stream = await colour.ask(colour.client(streamed(sse(piece("a"), USAGE))), stream=True)
    await colour.read(stream)

    assert told.events == ["start", "token", "end"]


async def test_a_call_with_handlers_and_no_meter_is_still_unattributed(colour, told):
    """Handlers are no meter: what ran in none, while some meter was open, is counted as that."""
    client = colour.client()
    before = token_meter.unattributed()
    opened, close = asyncio.Event(), asyncio.Event()

    async def elsewhere() -> None:
        with meter():
            opened.set()
            await close.wait()

    task = asyncio.create_task(elsewhere())
    await opened.wait()
    with callbacks(told):
        await colour.ask(client)
    close.set()
    await task

    assert token_meter.unattributed() == before + 1
    assert told.events == ["start", "end"]


async def test_calls_that_no_reader_knows_are_not_told(colour, told):
    """A request that is no LLM call is none of the handlers' business."""
    client = attach(colour.http(answered), handlers=[told])

    result = client.get("https://api.openai.com/v1/models")
    if colour.is_async:
        await result

    assert told.events == []
