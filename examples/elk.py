"""Logs for ELK: several threads ask, each call becomes one JSON line, and no call waits for the disk.

Writes llm.jsonl into the current folder; Filebeat or Vector takes it from there.
"""

from __future__ import annotations

import json
import logging
import queue
from concurrent.futures import ThreadPoolExecutor
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from typing import Any

from _screen import say, table
from _service import Service, run
from openai import InternalServerError, OpenAI

from token_meter import Meter, meter
from token_meter.handlers import LoggingHandler

PROMPTS = ("Roses?", "Lilies?", "Tulips?", "Peonies?", "Daisies?", "Orchids?")


class JsonFormatter(logging.Formatter):
    """One line for each record: time, level, and all fields of the call."""

    def format(self, record: logging.LogRecord) -> str:
        call: dict[str, Any] = getattr(record, "llm_call", {})
        return json.dumps({"@timestamp": call.get("started_at"), "log.level": record.levelname.lower(), **call})


def ask(client: OpenAI, prompt: str) -> str:
    # The simulator is told to fail one; the real service does not know the header.
    headers = {"x-sim-status": "500"} if prompt == "Tulips?" else {}
    try:
        answer = client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": prompt}], max_tokens=20, extra_headers=headers
        )
    except InternalServerError as error:
        return f"failed: {error.status_code}"
    return answer.choices[0].message.content or ""


def main(service: Service) -> tuple[Meter, list[dict[str, Any]]]:
    path = Path("llm.jsonl")
    to_file = logging.FileHandler(path, mode="w", encoding="utf-8")
    to_file.setFormatter(JsonFormatter())

    # The standard library's way to log asynchronously: callers fill a queue, a thread empties it.
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    logger = logging.Logger("shop.llm", logging.INFO)
    logger.addHandler(QueueHandler(waiting))
    writer = QueueListener(waiting, to_file)
    writer.start()

    client, cb = service.client(max_retries=0), meter("elk", handlers=[LoggingHandler(logger)], prices=service.prices)
    with client, cb, ThreadPoolExecutor(max_workers=3) as pool:
        answers = list(pool.map(lambda prompt: ask(client, prompt), PROMPTS))
    writer.stop()  # writes what is still in the queue
    to_file.close()

    for prompt, answer in zip(PROMPTS, answers, strict=True):
        say(f"{prompt:<9}", answer, indent=10)
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    print(f"\n{path}: {len(records)} records")
    rows = []
    for record in records:
        tokens = (record["usage"] or {}).get("total_tokens")
        rows.append((record["log.level"], *[str(value) for value in (record["status"], tokens, record["cost"])]))
    table(("log.level", "status", "tokens", "cost"), sorted(rows))
    service.print_bill(cb)
    return cb, records


if __name__ == "__main__":
    run(main)
