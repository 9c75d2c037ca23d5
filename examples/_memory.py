"""The lesson's memories: what of a conversation is sent again with the next question. They know no meter.

Each does what LangChain's memory of that name does: Buffer keeps all, Window the last turns, Summary has a model write
a summary after every turn, SummaryBuffer only of what does not fit any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from _shop import SUMMARY_TEMPLATE

Ask = Callable[[str], str]
"""Gives a model's answer to a prompt."""


class Memory(Protocol):
    @property
    def history(self) -> str:
        """What is sent with the next question."""

    def save(self, said: str, answered: str) -> None:
        """Take in one turn."""


class Buffer:
    def __init__(self) -> None:
        self.lines: list[str] = []

    @property
    def history(self) -> str:
        return "\n".join(self.lines)

    def save(self, said: str, answered: str) -> None:
        self.lines += [f"Human: {said}", f"AI: {answered}"]


class Window(Buffer):
    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    @property
    def history(self) -> str:
        return "\n".join(self.lines[-2 * self.k :])


class Summary:
    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.history = ""

    def save(self, said: str, answered: str) -> None:
        new_lines = f"Human: {said}\nAI: {answered}"
        self.history = self.ask(SUMMARY_TEMPLATE.format(summary=self.history, new_lines=new_lines))


class SummaryBuffer(Buffer):
    def __init__(self, ask: Ask, count: Callable[[str], int], limit: int) -> None:
        super().__init__()
        self.ask = ask
        self.count = count
        self.limit = limit
        self.summary = ""

    @property
    def history(self) -> str:
        return "\n".join([f"System: {self.summary}"] * bool(self.summary) + self.lines)

    def save(self, said: str, answered: str) -> None:
        super().save(said, answered)
        pruned: list[str] = []
        while self.lines and self.count("\n".join(self.lines)) > self.limit:
            pruned.append(self.lines.pop(0))
        if pruned:
            self.summary = self.ask(SUMMARY_TEMPLATE.format(summary=self.summary, new_lines="\n".join(pruned)))
