"""Callbacks at request time: a handler given to `run`, `apply` and `invoke` of a chain, not to its constructor.

A constructor may have it as well: LangChain tells it once, and however it is attached, a call is counted once.
"""

from __future__ import annotations

from typing import Any

from _langchain import hush
from _service import Service, run
from langchain_classic.chains import LLMChain
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult
from langchain_core.prompts import PromptTemplate
from langchain_openai import ChatOpenAI

from token_meter import Meter, get_openai_callback, meter

hush()


class MyCallBackHandler(BaseCallbackHandler):
    def __init__(self) -> None:
        self.calls = 0

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        if token:  # LangChain tells of the empty pieces too
            print(f"recv token: {token!r}")

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        self.calls += 1


def main(service: Service) -> tuple[Meter, list[tuple[str, int, int, int]]]:
    where: dict[str, Any] = service.where()
    llm = ChatOpenAI(model="gpt-4o-mini", streaming=True, **where)
    prompt = PromptTemplate.from_template("1 + {number} = ")
    chain = LLMChain(llm=llm, prompt=prompt)
    handler = MyCallBackHandler()
    rows: list[tuple[str, int, int, int]] = []

    def note(what: str, cb: Meter) -> None:
        rows.append((what, handler.calls, cb.successful_requests, cb.total_tokens))
        print(f"{what}: counted {cb.successful_requests}, told so far {handler.calls}\n")

    with meter(prices=service.prices) as whole:
        with get_openai_callback() as cb:
            chain.run(number=2, callbacks=[handler])
        note("run", cb)

        with get_openai_callback() as cb:
            chain.apply([{"number": 3}, {"number": 4}], callbacks=[handler])
        note("apply", cb)

        with get_openai_callback() as cb:
            chain.invoke({"number": 5}, config={"callbacks": [handler]})
        note("invoke", cb)

        both = LLMChain(llm=llm, prompt=prompt, callbacks=[handler])
        with get_openai_callback() as cb:
            both.invoke({"number": 6}, config={"callbacks": [handler]})
        note("constructor and request", cb)

        with get_openai_callback() as cb:
            chain.run(number=7)
        note("neither", cb)
    service.print_bill(whole)
    return whole, rows


if __name__ == "__main__":
    run(main)
