"""A chain, "1 + {number} = ", with its logs: a line on the terminal, JSON lines in a file, the answer by loguru.

Writes output.log and output.jsonl into the current folder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from _service import Service, run
from _shop import complete
from loguru import logger
from openai import OpenAI

from token_meter import Meter, meter
from token_meter.handlers import FileHandler, StdOutHandler

PROMPT = "1 + {number} = "


def add_one(client: OpenAI, model: str, number: int) -> str:
    return complete(client, model, PROMPT.format(number=number))


def main(service: Service) -> tuple[Meter, str, list[dict[str, Any]]]:
    log, calls = Path("output.log"), Path("output.jsonl")
    for path in (log, calls):
        path.unlink(missing_ok=True)
    logger.remove()  # loguru's own print to stderr
    sink = logger.add(log, enqueue=True, format="{time:HH:mm:ss} {level} {message}")

    handlers = [StdOutHandler(), FileHandler(calls)]
    with service.client() as client, meter("chain", handlers=handlers, prices=service.prices) as cb:
        answer = add_one(client, service.text_model, 2)
        logger.info("1 + 2 = {}", answer)
    logger.remove(sink)  # waits for the queue

    print(f"{log}: {log.read_text(encoding='utf-8').rstrip()}")
    records = [json.loads(line) for line in calls.read_text(encoding="utf-8").splitlines()]
    for record in records:
        fields = ("event", "meter", "model", "status", "cost")
        print(f"{calls}: {' '.join(str(record[field]) for field in fields)}, {record['usage']['total_tokens']} tokens")
    service.print_bill(cb)
    return cb, answer, records


if __name__ == "__main__":
    run(main)
