"""Whatever stands in a ledger, the engine says what the plain reader says, or leaves the ledger to it."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from tests.lake.test_lake import _call, _told
from token_meter.lake import EngineReader, NotEqualError
from token_meter.ledger import Ledger, find_shards, read_run
from token_meter.report import summarise

COUNT = rb'("prompt_tokens":)(\d+)'
CHANGES = [
    (COUNT, rb"\g<1>00\2"), (COUNT, rb"\g<1>-\2"), (COUNT, rb"\g<1>\2.0"), (COUNT, rb"\g<1>\2e2"), (COUNT, rb"\g<1> \2"),
    (COUNT, rb'\g<1>"\2"'), (COUNT, rb"\g<1>true"), (COUNT, rb"\g<1>null"), (COUNT, rb"\g<1>+\2"), (COUNT, rb"\g<1>1_0"),
    (COUNT, rb"\g<1>999999999999999999"), (COUNT, rb"\g<1>1000000000000000000"), (COUNT, rb"\g<1>9223372036854775807"),
    (COUNT, rb"\g<1>99999999999999999999999999"), (COUNT, rb"\g<1>\2,\g<1>5"), (COUNT, rb"\g<1>NaN"),
    (COUNT, rb'"new_tokens":3,\g<1>\2'), (COUNT, rb'"Prompt_tokens":\2'), (rb'("total_tokens":)', rb"\1\1"),
    (rb'"ts":\d+', b'"ts":99999999999'), (rb'"ts":\d+', b'"ts":100000000000'),
    (rb'("ts":\d+\.\d{5})\d', rb"\g<1>"), (rb'("ts":\d+\.)', rb"\g<1>0"), (rb'"ts":', b'"ts":0'),
    (rb'("ts":)[\d.]+', rb"\g<1>1e9"), (rb'"ms":\d+', b'"ms":999999999999'), (rb'"ms":\d+', b'"ms":9999999999999'),
    (rb'"ms":', b'"ms":-'), (rb'"first_ms":[^,]+', b'"first_ms":12.5'), (rb'"first_ms":[^,]+', b'"first_ms":12.500'),
    (rb'"first_ms":[^,]+', b'"first_ms":null'), (rb'"first_ms":[^,]+', b'"first_ms":-1.000'),
    (rb'"v":2', b'"v":1'), (rb'"v":2', b'"v":3'), (rb'"v":2', b'"v": 2'), (rb'"t":"call"', b'"t":"called"'),
    (rb'("id":"\w+)-', rb"\g<1>A-"), (rb'"id":"0', b'"id":"9'), (rb'"id":"[^"]+', b'"id":"x'),
    (rb'("id":"[^"]+)', rb"\g<1>a"), (rb'("id":"[^"]+)', rb"\1\\u0061"), (rb'"id":"0+a', '"id":"é'.encode()),
    (rb'"api":"chat"', '"api":"chät"'.encode()), (rb'"model":"', '"model":"模型'.encode()), (rb'"model":"', b'"model":"\\\\u00e9\\\\ud800'),
    (rb'"model":"[^"]+"', b'"model":7'), (rb'"model":', b'"model":"x","model":'), (rb'"api":', b'"api":"x","api":'),
    (rb'"host":"', b'"host":"[],\\"api\\":'), (rb'"certainty":"\w+"', b'"certainty":"guessed"'), (rb'"src":"\w+"', b'"src":"dreamt"'),
    (rb'"outcome":"\w+"', b'"outcome":"paused"'), (rb'"outcome":"\w+",', b""), (rb'"status":\d+', b'"status":"ok"'),
    (rb'\}$', b',"new_field":{"tags":["a"],"api":"z"}}'), (rb'\}$', b',"id":"00000000000000ff-1","ts":1795200000}'), (rb'\}$', b',"late":true}'),
    (rb'\}$', b"} "), (rb'\}$', b"}}"), (rb'\}$', b""), (rb"^", b" "), (rb"^", b"\xef\xbb\xbf"), (rb"^", b"\t"),
    (rb'"tags":\[[^\]]*\]', b'"tags":[]'), (rb'"tags":\[[^\]]*\]', b'"tags":["a",7,null]'), (rb'"tags":\[[^\]]*\],', b""),
    (rb'"tags":\[[^\]]*\]', b'"tags":["],\\"src\\":"]'), (rb'"tags":\[', b'"tags":[,'), (rb'"tags":\[', '"tags":["ä=ö",'.encode()),
    (rb'"tags":', b'"tags":"x","tags":'), (rb'"src":"live"', b'"src":"live","tags":["later"]'), (rb'"streamed":', b'"streamed" :'),
    (rb'"attempt":\d', b'"attempt":-1'), (rb'"attempt":\d', b'"attempt":1.5'), (rb'"provider":"\w+"', b'"provider":null'),
    (rb'"tier":"\w+"', b'"tier":{"a":[1]}'), (rb"^.*$", b""), (rb"^.*$", b"   "), (rb"^.*$", b"\x1e"), (rb"^.*$", b"null"),
    (rb"^.*$", b"[1]"), (rb"^.*$", b"{}"), (rb"^.*$", b'{"t":"call","v":2,"id":"'), (rb"^.*$", b'{"t":"call","v":2,"id":"1-1","api":3}'),
    (rb'"api":"chat".*', b'"api":'), (rb'"api"', b'"flavour"'), (rb'"reasoning_tokens":[^,]+', rb'\g<0>,"web_searches":2'),
]  # fmt: skip
"""Patterns, and what stands there then: numbers, names, spaces, orders, letters and lines that no version of us writes."""
RARE = [
    (rb'("id":"[^"]+-)', rb"\g<1>0"), (rb'"ts":', b'"ts":-'), (rb'"ts":\d+', b'"ts":0'), (rb"\}$", b"}\r"), (rb"^", b"\r"),
    (rb"^.*$", b"\xff\xfe"), (rb"^.*$", b"a\x1fb"), (rb'"model":"', b'"model":"\x1f'), (rb'"model":"', b'"model":"\x00'),
    (rb"^.*$", b'{"v":2,"t":"open","run":"r","host":"h","pid":1}'), (rb"^.*$", b'{"t":"open","v":2,"run":"r","host":"h","pid":1}'),
    (rb"^.*$", b'{"t":"open","v":2,"run'), (rb"(.)$", rb"\1" + b"x" * (1 << 20)), (rb'"model":"', b'"model":"' + b"y" * (1 << 20)),
]  # fmt: skip
"""What the engine leaves to the plain reader, mostly."""


def _write(folder: Path, rng: random.Random, changes: list[tuple[bytes, bytes]], calls: int) -> None:
    for shard in range(2):
        ledger = Ledger.create(folder) if not shard else Ledger.join(next((folder / "runs").iterdir()))
        for number in range(calls):
            call = _call(rng, number, f"00000000000000a{shard}")
            if rng.random() < 0.3:
                ledger.start(call.id, call.request_model)
            if rng.random() < 0.95:
                ledger.call(call, context=rng.choice((None, "t::x")))
            if rng.random() < 0.1:
                ledger.start(call.id, call.request_model)
        assert ledger.shard is not None
        if shard:
            ledger.close()
        lines = ledger.shard.read_bytes().split(b"\n")
        for n, (pattern, new) in enumerate(changes, 0xE000):
            at = rng.randrange(1, len(lines))
            changed = re.sub(pattern, new, lines[at], count=1, flags=re.DOTALL)
            if rng.random() < 0.5 or b'"id"' in pattern:
                lines[at] = changed
            elif changed != lines[at]:  # one more
                lines.insert(rng.randrange(1, len(lines)), re.sub(rb'-\w+"', b'-%x"' % n, changed, count=1))
        ledger.shard.write_bytes(b"\n".join(lines))


def _compare(folder: Path, by: str) -> bool:
    """Whether the engine read them; if so, it says the same."""
    engine, plain = EngineReader(find_shards([folder])), read_run(folder)
    expected = summarise(plain, by=by)
    try:
        told = summarise(engine, by=by)
    except NotEqualError:
        return False
    assert _told(told) == _told(expected)
    assert engine.facts == plain.facts
    return True


@pytest.mark.parametrize(("seed", "by"), list(enumerate(("model", "day,tag", "process", "test"))))
def test_the_engine_reads_strange_lines_as_the_plain_reader(tmp_path: Path, seed: int, by: str) -> None:
    """Torn, foreign, older and newer lines, huge numbers, letters of every kind: figures and facts are equal."""
    rng = random.Random(seed)
    _write(tmp_path, rng, rng.sample(CHANGES, 40), 100)

    assert _compare(tmp_path, by)


def test_the_engine_says_nothing_else_of_lines_that_it_leaves(tmp_path: Path) -> None:
    """Letters that split a line, lines of a megabyte, several openings: read as they are, or not at all."""
    read = []
    for n, change in enumerate(RARE):
        _write(tmp_path / str(n), random.Random(n), [change], 10)
        read.append(_compare(tmp_path / str(n), "model"))

    assert not all(read)
