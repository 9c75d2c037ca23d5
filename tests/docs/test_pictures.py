"""The picture of `token-meter watch` shows what the command shows today."""

from __future__ import annotations

import re
from html import unescape

from tests.docs.watch_picture import PICTURE, WIDTH, lines, text


def test_the_picture_of_watch_shows_what_it_shows_now():
    """If not: python -m tests.docs.watch_picture"""
    shown = text(lines())
    drawn = re.findall(r">([^<]*)</text>", PICTURE.read_text(encoding="utf-8"))

    assert "".join(map(unescape, drawn[1:])).replace(" ", "") == re.sub(r"\s", "", shown)
    assert max(map(len, shown.splitlines())) <= WIDTH
    assert "1 process running" in shown


def test_the_picture_of_watch_stands_alone():
    """No script, no font, no link: nothing that a viewer would fetch."""
    assert not re.search(r"href|url\(|@import|@font-face|<script|<style|\bon\w+=", PICTURE.read_text(encoding="utf-8"))
