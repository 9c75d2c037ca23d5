"""LangChain's models on the simulator, made and closed for each test."""

from __future__ import annotations

import asyncio
import gc
import itertools
import warnings
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from token_meter.prices import PriceBook
from token_meter.simulator import TEST_KEY, Bill, Simulator

QUESTION = "Which rose is the pinkest?"
_places = itertools.count(1)


class Models:
    """Makes LangChain's models; each has a place of its own on the simulator, so that none inherits a connection.

    LangChain keeps its HTTP clients by base URL, also when their event loop is gone.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.prices = PriceBook(hosts={simulator.url: "openai"})
        self._made: list[Any] = []

    def where(self, **options: object) -> dict[str, Any]:
        """What a model needs to find the simulator; *options* are the simulator's."""
        base_url = self.simulator.base_url_with(**options) if options else self.simulator.base_url
        return {"base_url": f"{base_url.removesuffix('/v1')}/langchain{next(_places)}/v1", "api_key": TEST_KEY}

    def chat(self, at: dict[str, object] | None = None, **options: Any) -> Any:
        """A `ChatOpenAI`."""
        from langchain_openai import ChatOpenAI

        return self._keep(ChatOpenAI(**{"model": "gpt-4o-mini", "max_retries": 2, **self.where(**at or {}), **options}))

    def text(self, at: dict[str, object] | None = None, **options: Any) -> Any:
        """The text model of the lesson."""
        from langchain_openai import OpenAI

        options = {"model": "gpt-3.5-turbo-instruct", "max_retries": 2, **self.where(**at or {}), **options}
        return self._keep(OpenAI(**options))

    def azure(self, **options: Any) -> Any:
        """An `AzureChatOpenAI`; the deployment may have any name."""
        from langchain_openai import AzureChatOpenAI

        endpoint = self.where()["base_url"].removesuffix("/v1")
        at = {"azure_endpoint": endpoint, "azure_deployment": "prod-chat", "api_version": "2024-10-21"}
        return self._keep(AzureChatOpenAI(**at, api_key=TEST_KEY, **options))

    def embeddings(self) -> Any:
        """Embeddings of texts as they are; counting their length first would download a vocabulary."""
        from langchain_openai import OpenAIEmbeddings

        options = {"model": "text-embedding-3-small", "check_embedding_ctx_length": False, **self.where()}
        return self._keep(OpenAIEmbeddings(**options))

    def _keep(self, model: Any) -> Any:
        self._made.append(model)
        return model

    def run(self, act: Callable[[], Any]) -> Any:
        """What *act* returns; a coroutine gets an event loop, and models without open connections at its end."""
        found = act()
        return asyncio.run(self._finish(found)) if asyncio.iscoroutine(found) else found

    async def _finish(self, found: Awaitable[Any]) -> Any:
        try:
            return await found
        finally:
            for model in self._made:
                await (getattr(model, "root_async_client", None) or model.async_client._client).close()

    def bill(self) -> Bill:
        """What the simulator billed for all of them."""
        return self.simulator.bill(TEST_KEY)


@pytest.fixture
def models(simulator: Simulator) -> Models:
    return Models(simulator)


@pytest.fixture(scope="package", autouse=True)
def lighter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """LangChain is large: frozen, it is not looked through at each collection of garbage.

    Each model makes two HTTP clients that read all certificates there are; one is enough for a server without TLS.
    """
    import certifi

    for name in ("langchain_openai", "langchain_classic.chains", "langchain_classic.memory", "langgraph.prebuilt"):
        pytest.importorskip(name, reason="the dependency group `langchain`")
    from langchain_classic.chains import ConversationChain, LLMChain  # they are loaded when they are asked for

    del ConversationChain, LLMChain
    end = "-----END CERTIFICATE-----\n"
    one = tmp_path_factory.mktemp("certificates") / "one.pem"
    one.write_text(Path(certifi.where()).read_text(encoding="utf-8").partition(end)[0] + end, encoding="utf-8")
    gc.collect()
    gc.freeze()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(one))
        yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_clients_left(clean: None) -> Iterator[None]:
    """LangChain's HTTP clients go with the test."""
    yield
    from langchain_openai.chat_models import _client_utils

    _client_utils._cached_sync_httpx_client.cache_clear()
    _client_utils._cached_async_httpx_client.cache_clear()


@pytest.fixture
def no_sockets_left(no_clients_left: None) -> Iterator[None]:
    """For programs with event loops of their own: LangChain leaves sockets that belong to loops which are closed."""
    yield
    from langchain_openai.chat_models import _client_utils

    _client_utils._cached_async_httpx_client.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def drain(stream: Any) -> list[Any]:
    """Read an async stream to its end."""
    return [piece async for piece in stream]
