"""The lesson's LLMChain, "1 + {number} = ", with FileCallbackHandler, loguru and `verbose=True`, under a counter.

Writes output.log into the current folder.
"""

from __future__ import annotations

from pathlib import Path

from _langchain import hush, lesson_model
from _service import Service, run
from langchain_classic.chains import LLMChain
from langchain_core.callbacks import FileCallbackHandler
from langchain_core.prompts import PromptTemplate
from loguru import logger

from token_meter import Meter, get_openai_callback, meter

hush()


def main(service: Service) -> tuple[Meter, Meter, str, str]:
    logfile = Path("output.log")
    logfile.unlink(missing_ok=True)
    logger.remove()  # loguru's own print to stderr
    sink = logger.add(logfile, enqueue=True, format="{time:HH:mm:ss} {level} {message}")

    with meter(prices=service.prices) as whole, FileCallbackHandler(str(logfile)) as handler:
        llm = lesson_model(service)
        prompt = PromptTemplate.from_template("1 + {number} = ")
        # LangChain logs the chain's events and, as it is verbose, prints them; the file would have them anyway.
        chain = LLMChain(llm=llm, prompt=prompt, callbacks=[handler], verbose=True)
        with get_openai_callback() as cb:
            answer = chain.run(number=2)
        logger.info("1 + 2 = {}, {} tokens", answer.strip(), cb.total_tokens)
    logger.remove(sink)  # waits for the queue

    logged = logfile.read_text(encoding="utf-8")
    print(f"\n{logfile}:\n" + "\n".join(f"  {line}".rstrip() for line in logged.strip().splitlines()))
    service.print_bill(whole)
    return whole, cb, answer, logged


if __name__ == "__main__":
    run(main)
