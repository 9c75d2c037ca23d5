"""Runs a program against the simulator, and notes for each call which meters its block says must hold it.

One interpreter serves both colours: over sync clients its coroutines never wait, so a thread can drive them.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import io
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import openai
import pydantic

from tests.contract.shapes import each, entered, result
from tests.proof.programs import Ask, Block, Fork, Late, Node, Outside, Program
from token_meter import Meter, current, meter
from token_meter.simulator import Simulator

ASK: dict[str, Any] = {"model": "gpt-4o-mini"}
WITH_USAGE = {"include_usage": True}


class Rose(pydantic.BaseModel):
    name: str


class Left(Exception):
    """What a program raises inside its own block."""


@dataclass
class Fate:
    """What the program did with one call: the meters that must hold it, and those that must call it late."""

    ask: Ask
    meters: list[Meter] = field(default_factory=list)
    late: list[Meter] = field(default_factory=list)
    is_started: bool = False
    is_cancelled: bool = False
    is_pending: bool = False
    error: BaseException | None = None


@dataclass
class Run:
    """What one run of a program left behind."""

    program: Program
    fates: dict[str, Fate]
    meters: list[Meter]


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    msg = "a sync program waited"
    raise AssertionError(msg)


class World:
    """Clients of all kinds over one simulator. They are replaced now and then, because unclosed streams fill the pools."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        options: dict[str, Any] = {"api_key": "sim-world", "base_url": simulator.base_url, "max_retries": 2}
        azure: dict[str, Any] = {**options, "api_version": "2024-10-21"}
        # Loading the certificate store takes most of the time of making a client, and no call here is encrypted.
        self.sync = {
            "httpx2": openai.OpenAI(**options, http_client=openai.DefaultHttpxClient(verify=False)),
            "httpx": openai.OpenAI(**options, http_client=_legacy(httpx.Client)),
            "azure": openai.AzureOpenAI(**azure, http_client=openai.DefaultHttpxClient(verify=False)),
        }
        self.asyn = {
            "httpx2": openai.AsyncOpenAI(**options, http_client=openai.DefaultAsyncHttpxClient(verify=False)),
            "httpx": openai.AsyncOpenAI(**options, http_client=_legacy(httpx.AsyncClient)),
            "azure": openai.AsyncAzureOpenAI(**azure, http_client=openai.DefaultAsyncHttpxClient(verify=False)),
        }
        self.runner = asyncio.Runner()
        self.runner.get_loop().set_exception_handler(lambda _loop, _context: None)  # the bare stack's own noise

    def run(self, program: Program) -> Run:
        """Run *program*, and let everything that it dropped end.

        The collector waits for the program's end: closing a dropped stream takes the lock of its connection pool, and
        httpcore, under legacy httpx, deadlocks when that happens inside the pool itself, with a meter or without one.
        """
        machine = _Machine(self, program)
        gc.disable()
        try:
            if program.is_async:
                self.runner.run(machine.main())
            else:
                drive(machine.main())
        finally:
            gc.enable()
        gc.collect()
        if program.is_async:
            self.runner.run(asyncio.sleep(0))
            gc.collect()
        return Run(program, machine.fates, machine.meters)

    def close(self) -> None:
        """Close every client, and the loop."""

        async def close() -> None:
            for client in self.asyn.values():
                await client.close()

        for client in self.sync.values():
            client.close()
        self.runner.run(close())
        self.runner.close()


def _legacy(cls: Any) -> Any:
    return cls(follow_redirects=True, timeout=30, verify=False)


@contextlib.contextmanager
def world_of(simulator: Simulator) -> Iterator[World]:
    """A world, closed at the end of the block."""
    world = World(simulator)
    try:
        yield world
    finally:
        world.close()


class _Machine:
    def __init__(self, world: World, program: Program) -> None:
        self.world = world
        self.program = program
        self.fates = {ask.name: Fate(ask) for ask in program.asks()}
        self.meters: list[Meter] = []
        self.unread: list[tuple[Ask, Any]] = []

    async def main(self) -> None:
        if self.program.is_watched:
            with meter("process", scope="process", keep_calls=True) as whole:
                self.meters.append(whole)
                await self.all(self.program.body, (), self.program.is_async)
        else:
            await self.all(self.program.body, (), self.program.is_async)
        for ask, events in self.unread:
            await self.guarded(self.fates[ask.name], self.read(ask, events))
        self.unread.clear()

    async def all(self, nodes: list[Node], stack: tuple[Meter, ...], is_async: bool) -> None:
        waiting: list[Any] = []
        for node in nodes:
            if isinstance(node, Late):
                waiting.append(self.start_late(node.ask, stack, is_async))
            else:
                await self.node(node, stack, is_async)
        if waiting:
            self.waiting.setdefault(id(stack[-1]), []).extend(waiting)

    @property
    def waiting(self) -> dict[int, list[Any]]:
        return self.__dict__.setdefault("_waiting", {})

    async def node(self, node: Node, stack: tuple[Meter, ...], is_async: bool) -> None:
        if isinstance(node, Ask):
            await self.ask(node, stack, is_async)
        elif isinstance(node, Block):
            await self.block(node, stack, is_async)
        elif isinstance(node, Fork):
            await self.fork(node, stack, is_async)
        elif isinstance(node, Outside):
            await self.outside(node.ask, is_async)

    # Blocks.

    async def block(self, block: Block, stack: tuple[Meter, ...], is_async: bool) -> None:
        cb = meter(keep_calls=True, tags=[block.tag] if block.tag else None)
        with contextlib.suppress(Left):
            if block.how == "async with":
                async with cb:
                    await self.inside(cb, block, stack, is_async)
            elif block.how == "decorator":

                @cb
                async def function() -> None:
                    twin = current()
                    assert twin is not None
                    nonlocal cb
                    cb = twin
                    await self.inside(twin, block, stack, is_async)

                await function()
            elif block.how == "twice":
                with cb, cb:
                    await self.inside(cb, block, stack, is_async)
            else:
                with cb:
                    await self.inside(cb, block, stack, is_async)
        assert not cb.is_open
        for release, join in self.waiting.pop(id(cb), []):
            release()
            await result(join())

    async def inside(self, cb: Meter, block: Block, stack: tuple[Meter, ...], is_async: bool) -> None:
        self.meters.append(cb)
        await self.all(block.body, (*stack, cb), is_async)
        if block.fails:
            raise Left

    def start_late(self, ask: Ask, stack: tuple[Meter, ...], is_async: bool) -> tuple[Any, Any]:
        """Begin something that calls when its innermost block has closed; the way to let it, and to wait for it."""
        fate = self.fates[ask.name]
        fate.late.append(stack[-1])
        if is_async:
            go = asyncio.Event()

            async def later() -> None:
                await go.wait()
                await self.ask(ask, stack[:-1], is_async)

            task = asyncio.create_task(later())
            return go.set, lambda: task
        event = threading.Event()

        def later_in_thread() -> None:
            event.wait(30)
            drive(self.ask(ask, stack[:-1], is_async))

        thread = threading.Thread(target=later_in_thread)
        thread.start()
        return event.set, thread.join

    # Several at once.

    async def fork(self, fork: Fork, stack: tuple[Meter, ...], is_async: bool) -> None:
        if is_async and fork.how == "tasks":
            async with asyncio.TaskGroup() as group:
                for child in fork.children:
                    group.create_task(self.node(child, stack, True))
        elif is_async and fork.how == "gather":
            await asyncio.gather(*[self.node(child, stack, True) for child in fork.children])
        elif is_async:
            jobs = [self.job(child, stack) for child in fork.children]
            if fork.how == "to_thread":
                await asyncio.gather(*[asyncio.to_thread(job) for job in jobs])
            else:
                loop = asyncio.get_running_loop()
                await asyncio.gather(*[loop.run_in_executor(None, job) for job in jobs])
        elif fork.how == "threads":
            failures: list[BaseException] = []
            threads = [threading.Thread(target=_noting(self.job(c, stack), failures)) for c in fork.children]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if failures:
                raise failures[0]
        else:
            with ThreadPoolExecutor(2) as pool:
                if fork.how == "warm pool":
                    contextvars.Context().run(lambda: pool.submit(int).result())
                for future in [pool.submit(self.job(child, stack)) for child in fork.children]:
                    future.result()

    def job(self, node: Node, stack: tuple[Meter, ...]) -> Any:
        return lambda: drive(self.node(node, stack, False))

    async def outside(self, ask: Ask, is_async: bool) -> None:
        if is_async:
            await asyncio.create_task(self.ask(ask, (), True), context=contextvars.Context())
        else:
            contextvars.Context().run(drive, self.ask(ask, (), False))

    # One call.

    async def ask(self, ask: Ask, stack: tuple[Meter, ...], is_async: bool) -> None:
        fate = self.fates[ask.name]
        fate.is_started = True
        fate.meters = [*(self.meters[:1] if self.program.is_watched else ()), *stack]
        client = self.client(ask, is_async)
        call = getattr(self, "do_" + ask.shape)(ask, client)
        if ask.cancel_s is not None and is_async:
            fate.is_cancelled = True
            task = asyncio.create_task(self.guarded(fate, call))
            await asyncio.sleep(ask.cancel_s)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        else:
            await self.guarded(fate, call)

    def client(self, ask: Ask, is_async: bool) -> Any:
        """A copy of a shared client with the call's own options and key: the bill names each call by its key."""
        clients = self.world.asyn if is_async else self.world.sync
        is_azure = ask.shape.startswith("azure")
        pairs = ",".join(f"{name}={value}" for name, value in {"seed": ask.name, **ask.options}.items())
        end = "openai" if is_azure else "v1"
        may_retry = "fail" in ask.options
        return clients["azure" if is_azure else ask.library].with_options(
            base_url=f"{self.world.simulator.url}/__opt/{pairs}/{end}",
            api_key=f"sim-{ask.name}",
            max_retries=2 if may_retry else 0,
            **({"timeout": ask.timeout_s} if ask.timeout_s is not None else {}),
        )

    async def guarded(self, fate: Fate, call: Any) -> None:
        try:
            await call
        except (openai.OpenAIError, httpx.HTTPError, _MODERN_ERROR) as error:
            fate.error = error
        except (AttributeError, TypeError, ValueError) as error:  # an answer of another kind than was asked for
            if "body" not in fate.ask.options and not isinstance(error, pydantic.ValidationError):
                raise
            fate.error = error
        except AssertionError as error:  # the SDK's helpers, when a stream breaks
            if fate.ask.shape != "helper":
                raise
            fate.error = error

    def messages(self, ask: Ask) -> list[Any]:
        return [{"role": "user", "content": f"Say something about roses, {ask.name}."}]

    async def do_chat(self, ask: Ask, client: Any) -> None:
        await result(client.chat.completions.create(**ASK, messages=self.messages(ask)))

    async def do_azure(self, ask: Ask, client: Any) -> None:
        await result(client.chat.completions.create(model="prod-chat", messages=self.messages(ask)))

    async def do_raw(self, ask: Ask, client: Any) -> None:
        answer = await result(client.chat.completions.with_raw_response.create(**ASK, messages=self.messages(ask)))
        await result(answer.parse())
        await result(answer.parse())

    async def do_parse(self, ask: Ask, client: Any) -> None:
        await result(client.chat.completions.parse(**ASK, messages=self.messages(ask), response_format=Rose))

    async def do_streaming_response(self, ask: Ask, client: Any) -> None:
        manager = client.chat.completions.with_streaming_response.create(**ASK, messages=self.messages(ask))
        async with entered(manager) as answer:
            await result(answer.parse())

    async def do_helper(self, ask: Ask, client: Any) -> None:
        manager = client.chat.completions.stream(**ASK, messages=self.messages(ask), stream_options=WITH_USAGE)
        async with entered(manager) as events:
            async for _ in each(events):
                pass

    async def do_stream(self, ask: Ask, client: Any) -> None:
        await self.treat(ask, await self.opened(ask, client.chat.completions, stream_options=WITH_USAGE))

    async def do_silent_stream(self, ask: Ask, client: Any) -> None:
        await self.treat(ask, await self.opened(ask, client.chat.completions))

    async def do_azure_stream(self, ask: Ask, client: Any) -> None:
        await self.treat(ask, await self.opened(ask, client.chat.completions, model="prod-chat",
                                                stream_options=WITH_USAGE))  # fmt: skip

    async def do_raw_stream(self, ask: Ask, client: Any) -> None:
        answer = await self.opened(ask, client.chat.completions.with_raw_response, stream_options=WITH_USAGE)
        await self.treat(ask, await result(answer.parse()))

    async def opened(self, ask: Ask, completions: Any, **more: Any) -> Any:
        return await result(completions.create(**{**ASK, "messages": self.messages(ask), "stream": True, **more}))

    async def do_completions(self, ask: Ask, client: Any) -> None:
        await result(client.completions.create(model="gpt-3.5-turbo-instruct", prompt=ask.name))

    async def do_completions_stream(self, ask: Ask, client: Any) -> None:
        await self.treat(ask, await result(client.completions.create(
            model="gpt-3.5-turbo-instruct", prompt=ask.name, stream=True, stream_options=WITH_USAGE)))  # fmt: skip

    async def do_responses(self, ask: Ask, client: Any) -> None:
        await result(client.responses.create(**ASK, input=ask.name))

    async def do_responses_stream(self, ask: Ask, client: Any) -> None:
        await self.treat(ask, await result(client.responses.create(**ASK, input=ask.name, stream=True)))

    async def do_background(self, ask: Ask, client: Any) -> None:
        fate = self.fates[ask.name]
        fate.is_pending = True
        answer = await result(client.responses.create(**ASK, input=ask.name, background=True))
        for _ in range(ask.polls):
            answer = await result(client.responses.retrieve(answer.id))
            if answer.status == "completed":
                fate.is_pending = False

    async def do_embeddings(self, ask: Ask, client: Any) -> None:
        await result(client.embeddings.create(model="text-embedding-3-small", input=[ask.name, "a rose"]))

    async def do_images(self, ask: Ask, client: Any) -> None:
        await result(client.images.generate(model="gpt-image-1", prompt=ask.name))

    async def do_transcription(self, ask: Ask, client: Any) -> None:
        sound = ("rose.wav", io.BytesIO(b"RIFF" + bytes(64)))
        await result(client.audio.transcriptions.create(model="gpt-4o-transcribe", file=sound))

    async def do_speech(self, ask: Ask, client: Any) -> None:
        manager = client.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts", voice="alloy", input=ask.name
        )
        async with entered(manager) as answer:
            async for _ in each(answer.iter_bytes()):
                pass

    # What becomes of a stream.

    async def treat(self, ask: Ask, events: Any) -> None:
        if ask.leaving == "after":
            self.unread.append((ask, events))
        elif ask.leaving == "dropped":
            return
        elif ask.leaving == "closed":
            await result(events.close())
        elif ask.leaving == "parked":
            await self.elsewhere(ask, events)
        else:
            await self.read(ask, events)

    async def read(self, ask: Ask, events: Any) -> None:
        limit = ask.after if ask.leaving in ("left", "dropped_midway") else None
        seen = 0
        stream = each(events)
        async for _ in stream:
            seen += 1
            if limit is not None and seen > limit:
                break
        if limit is not None and ask.leaving == "left":
            await result(events.close())
        await _let_go(stream)

    async def elsewhere(self, ask: Ask, events: Any) -> None:
        if hasattr(events, "__aiter__"):
            await asyncio.create_task(self.read(ask, events), context=contextvars.Context())
            return
        failures: list[BaseException] = []
        thread = threading.Thread(target=_noting(lambda: drive(self.read(ask, events)), failures))
        thread.start()
        thread.join()
        if failures:
            raise failures[0]


async def _let_go(stream: AsyncIterator[Any]) -> None:
    await stream.aclose()  # type: ignore[attr-defined]  # our own generator round the SDK's stream


def _noting(job: Any, failures: list[BaseException]) -> Any:
    def run() -> None:
        try:
            job()
        except BaseException as error:
            failures.append(error)

    return run


try:
    import httpx2

    _MODERN_ERROR: type[Exception] = httpx2.HTTPError
except ImportError:
    _MODERN_ERROR = httpx.HTTPError
