"""The rows of Google's SDKs that speak gRPC: google-generativeai, and vertexai (google-cloud-aiplatform)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.providers.table import Cell, Row, drain

QUESTION = "Which rose is the pinkest?"
Make = Callable[[Any, bool], Any]


@contextmanager
def place(types: str) -> Iterator[Any]:
    """A server with the messages that a package declares."""
    import importlib

    from google.protobuf.json_format import ParseDict

    from tests.providers.grpc_fake import Server

    module = importlib.import_module(types)

    class Declared(Server):
        def message(self, method: str, answer: dict[str, Any]) -> Any:
            verb = method.rpartition("/")[2].removeprefix("Stream")
            return ParseDict(answer, getattr(module, f"{verb}Response").pb()(), ignore_unknown_fields=True)

    server = Declared()
    try:
        yield server
    finally:
        server.close()


def channel(server: Any, is_async: bool) -> Any:
    import grpc

    return (grpc.aio if is_async else grpc).insecure_channel(server.target)


def generativeai_client(server: Any, is_async: bool) -> Any:
    from google.ai import generativelanguage_v1beta as api
    from google.ai.generativelanguage_v1beta.services.generative_service import transports

    if is_async:
        over = transports.GenerativeServiceGrpcAsyncIOTransport(channel=channel(server, True))
        return api.GenerativeServiceAsyncClient(transport=over)
    return api.GenerativeServiceClient(
        transport=transports.GenerativeServiceGrpcTransport(channel=channel(server, False))
    )


def generativeai(server: Any, is_async: bool) -> Any:
    from google.generativeai import GenerativeModel

    model = GenerativeModel("gemini-2.5-flash")
    setattr(model, "_async_client" if is_async else "_client", generativeai_client(server, is_async))
    return model


def generativeai_embeds(server: Any) -> None:
    from google.generativeai import embed_content

    embed_content("models/text-embedding-004", QUESTION, client=generativeai_client(server, False))


def vertexai_client(server: Any, is_async: bool) -> Any:
    from google.cloud.aiplatform_v1.services import prediction_service as api
    from google.cloud.aiplatform_v1.services.prediction_service import transports

    if is_async:
        over = transports.PredictionServiceGrpcAsyncIOTransport(channel=channel(server, True))
        return api.PredictionServiceAsyncClient(transport=over)
    return api.PredictionServiceClient(
        transport=transports.PredictionServiceGrpcTransport(channel=channel(server, False))
    )


def vertexai(server: Any, is_async: bool) -> Any:
    import vertexai
    from google.auth.credentials import AnonymousCredentials
    from vertexai.generative_models import GenerativeModel

    vertexai.init(project="p", location="us-central1", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    model = GenerativeModel("gemini-3.5-flash")
    name = "_prediction_async_client" if is_async else "_prediction_client"
    made = vertexai_client(server, is_async)
    vars(model).update({name: made, f"{name}_value": made})  # of 2.x, and of 1.x
    return model


def vertexai_embeds(server: Any) -> None:
    name = "projects/p/locations/us-central1/publishers/google/models/text-embedding-005"
    vertexai_client(server, False).predict(endpoint=name, instances=[])


def sync(make: Make, server: Any) -> None:
    make(server, False).generate_content(QUESTION)


async def asked(make: Make, server: Any, times: int = 1) -> None:
    model = make(server, True)
    await asyncio.gather(*(model.generate_content_async(QUESTION) for _ in range(times)))


async def streamed(make: Make, server: Any) -> None:
    await drain(await make(server, True).generate_content_async(QUESTION, stream=True))


async def retried(make: Make, server: Any) -> None:
    server.overloaded = 1
    await asked(make, server)


def cells(make: Make) -> dict[str, Cell]:
    return {
        "sync": Cell("read", partial(sync, make)),
        "async": Cell("read", partial(asked, make)),
        "gathered": Cell("read", partial(asked, make, times=3), 321, 129, calls=3),
        "streamed": Cell("read", partial(streamed, make)),
    }


GENERATIVEAI_PLACE = partial(place, "google.ai.generativelanguage_v1beta.types")
VERTEXAI_PLACE = partial(place, "google.cloud.aiplatform_v1.types")
ROWS = (
    Row("google-generativeai", "gRPC", "google.generativeai", None, GENERATIVEAI_PLACE, {
        **cells(generativeai),
        "cached": Cell("read", partial(asked, generativeai), cached=50),
        "retried": Cell("read", partial(retried, generativeai), failed=1),
        "embeddings": Cell("estimated", generativeai_embeds, None, 0),
    }),
    Row("vertexai", "gRPC", "vertexai.generative_models", None, VERTEXAI_PLACE, {
        **cells(vertexai),  # the messages of 1.70 have no place for cached tokens
        "embeddings": Cell("read", vertexai_embeds, 14, 0),
    }),
)  # fmt: skip
