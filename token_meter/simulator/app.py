"""The ASGI application: finds the route of a request, calls it, and opens the request's entry in the bill."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from token_meter.exceptions import ConfigError
from token_meter.simulator import admin
from token_meter.simulator.bill import Books, label_of
from token_meter.simulator.connections import SOCKETS, serve_socket
from token_meter.simulator.options import SEGMENT, Options, describe_options, header_pairs, read_options, split_path
from token_meter.simulator.reply import RefusedError, Reply
from token_meter.simulator.routes import ROUTES, Asked, World
from token_meter.simulator.sending import DiedError, Line, Message, Receive, send_json, send_reply
from token_meter.simulator.sockets import Socket

_log = logging.getLogger("token_meter.simulator")
_DEPLOYMENT = re.compile(r"/openai/deployments/([^/]+)/")
_ERROR_USAGE = {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7}
_SETTLE_S = 1.0


class App:
    """The simulated provider as an ASGI application; each instance is a provider with its own bills."""

    def __init__(self) -> None:
        self.books = Books()
        self.world = World()
        self._failed: Counter[str] = Counter()

    def reset(self, key: str | None = None) -> None:
        """Delete the bill of *key*; without a key, all stored data."""
        if key is not None:
            self.books.reset([key])
            return
        self.books.reset()
        self.world.clear()
        self._failed.clear()

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answer one request, or serve one websocket."""
        if scope["type"] == "websocket":
            await self._connect(scope, receive, send)
        if scope["type"] != "http":
            return
        body = await _body(receive)
        if body is None:
            return
        line = Line(receive, send)
        line.watch()
        try:
            await self._answer(scope, body, line)
        except DiedError:
            return  # without the end of the body: the server closes the socket
        except ConfigError as exc:
            await send_json(line, 400, RefusedError(str(exc), kind="simulator_option_error").body())
        except RefusedError as exc:
            await send_json(line, exc.status, exc.body())
        except Exception as exc:  # noqa: BLE001  a bug of ours must not look like a silent provider
            _log.exception("the simulator failed on %s %s", scope["method"], scope["path"])
            # If the headers are out already, this raises and the server closes the socket.
            await send_json(
                line, 500, RefusedError(f"the simulator failed: {type(exc).__name__}", kind="simulator_error").body()
            )
        finally:
            await line.close()

    async def _connect(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Serve a websocket, or refuse it before it is accepted."""
        pairs, path = split_path(scope["path"])
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            options = read_options(header_pairs(headers) + pairs)
        except ConfigError:
            path = ""
        if not path.endswith(SOCKETS):
            await send({"type": "websocket.close", "code": 1008})
            return
        key = label_of(_key(headers))
        socket = Socket(send, self.books, self.world, lambda reply: self._open(reply, key, path), key, options)
        await serve_socket(scope, receive, send, socket, path)

    async def _answer(self, scope: Message, body: bytes, line: Line) -> None:
        pairs, path = split_path(scope["path"])
        if path.startswith("/__") or path == "/":
            await self._housekeeping(scope, path, line)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        options = read_options(header_pairs(headers) + pairs)
        method, key = scope["method"], label_of(_key(headers))
        if admin.PATH.search(path) and method == "GET":
            query = parse_qs(scope["query_string"].decode("latin-1"))
            await send_json(
                line, 200, admin.report(path, query, _key(headers) or "", self.books.bill().entries, options)
            )
            return
        for route in ROUTES:
            found = route.pattern.search(path)
            if found and route.method == method:
                break
        else:
            msg = f"the simulator has no route {method} {path}"
            raise RefusedError(msg, 404)
        self.books.ask(key)
        try:
            if options.redirect:
                await self._redirect(scope, path, line)
                return
            if status := self._failure(options, headers, f"{key} {path}", body):
                await self._fail(status, key, line)
                return
            deployment = _DEPLOYMENT.search(path)
            asked = Asked(
                content_type=headers.get("content-type", ""),
                body=body,
                key=key,
                name=found.groupdict().get("id", ""),
                query=parse_qs(scope["query_string"].decode("latin-1")),
                deployment=deployment[1] if deployment else None,
                options=options,
            )
            reply = await route.answer(asked, self.world)
        except RefusedError:
            self.books.refuse(key)
            raise
        await send_reply(line, reply, options, self.books, self._open(reply, key, path))

    def _open(self, reply: Reply, key: str, path: str) -> int | None:
        if reply.usage is None:
            return None
        number = self.books.begin(
            key=key,
            id=reply.id,
            path=path,
            api=reply.api,
            model=reply.model,
            status=200,
            usage=reply.usage,
            tier=reply.tier,
            streamed=reply.streamed,
            reports_usage=reply.reports_usage,
        )
        if reply.on_billed is not None:
            reply.on_billed(number)
        return number

    async def _redirect(self, scope: Message, path: str, line: Line) -> None:
        query = scope["query_string"].decode("latin-1")
        # Keep the other options of the first URL.
        there = scope["path"].removesuffix(path) + f"/{SEGMENT}/redirect=0{path}"
        if not scope["path"].endswith(path):
            there = f"/{SEGMENT}/redirect=0{scope['path']}"
        location = there + (f"?{query}" if query else "")
        await send_json(line, 307, {"usage": _ERROR_USAGE}, [("location", location)])

    def _failure(self, options: Options, headers: dict[str, str], place: str, body: bytes) -> int | None:
        if options.status is not None:
            return options.status
        if not options.fail:
            return None
        attempt = headers.get("x-stainless-retry-count", "")
        if not attempt.isdigit():
            # Not from an SDK: an equal request counts as the next attempt.
            mark = place + hashlib.sha256(body).hexdigest()
            attempt = str(self._failed[mark])
            self._failed[mark] += 1
        return options.fail[int(attempt)] if int(attempt) < len(options.fail) else None

    async def _fail(self, status: int, key: str, line: Line) -> None:
        self.books.refuse(key)
        kind = "rate_limit_error" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
        refusal = RefusedError(f"The simulator was told to answer {status}.", status, kind)
        # `retry-after: 0` alone makes the SDK back off for half a second.
        retry = [("retry-after", "0"), ("retry-after-ms", "1")]
        if status == 429 or status >= 500:
            retry.append(("x-should-retry", "true"))
        await send_json(line, status, refusal.body() | {"usage": _ERROR_USAGE}, retry)

    async def _housekeeping(self, scope: Message, path: str, line: Line) -> None:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        key = query["key"][0] if "key" in query else None
        if path == "/":
            text = f"token_meter simulator. Base URL: /v1. Bill: /__bill. Options:\n{describe_options()}\n"
            await line.whole(200, text.encode(), [("content-type", "text/plain; charset=utf-8")])
        elif path != "/__bill":
            msg = f"the simulator has no page {path}"
            raise RefusedError(msg, 404)
        elif scope["method"] == "DELETE":
            self.reset(key)
            await send_json(line, 200, {"reset": key or "all"})
        else:
            deadline = time.monotonic() + _SETTLE_S
            while self.books.open(key) and time.monotonic() < deadline:  # noqa: ASYNC110  another task's doing
                await asyncio.sleep(0.002)
            found = self.books.bill(key).to_dict()
            if key is None:
                found["keys"] = {name: self.books.bill(name).to_dict() for name in self.books.labels()}
            await send_json(line, 200, found)


async def _body(receive: Receive) -> bytes | None:
    """The whole request body; `None` if the client has left."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _key(headers: dict[str, str]) -> str | None:
    """The API key: a header of Azure, Anthropic or Google, or a bearer token."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else None
    return headers.get("api-key") or bearer or headers.get("x-api-key") or headers.get("x-goog-api-key")
