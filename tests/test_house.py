"""The house: imports go down, modules stay small and say what they are, the door is light."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import token_meter
from token_meter.providers import PROVIDERS
from token_meter.transports.callers import CALLERS

ROOT = Path(token_meter.__file__).parents[1]
PACKAGE = ROOT / "token_meter"
MODULES = sorted(PACKAGE.rglob("*.py"))

LONGEST = 320
"""Lines that a module may have."""

CORE_LINES = 5_000
CORE = (
    "_failures.py", "_fork.py", "types.py",
    "_meter/block.py", "_meter/validation.py", "runtime/hub.py",
    "totals/accumulator.py", "totals/breakdown.py", "totals/pricing.py", "totals/totals.py",
    "call/attempt.py", "call/lifecycle.py", "call/record.py",
    "context/endpoint.py", "context/scope.py", "context/stack.py", "context/threads.py",
    "transports/gates.py", "transports/httpx.py", "transports/httpx_body.py", "transports/module_seam.py",
    "patching/patch.py",
    "providers/api.py", "providers/provider.py", "providers/registry.py",
    "providers/routes.py", "providers/usage.py", "providers/openai/chat.py",
    "wire/body.py", "wire/events.py", "wire/format.py", "wire/json_scan.py", "wire/numbers.py", "wire/readers.py",
    "wire/request.py", "wire/safe_access.py", "wire/stream.py",
)  # fmt: skip
"""What a plain call passes through without handlers, budgets, ledger or reports, until its tokens are read, and the
rows that it is read by; ARCHITECTURE.md says the same. Protocols (`ports.py`) are passed by no call."""
DOORS_OF_THE_CORE = {
    "_defaults.py", "_meter/by_hand.py", "_meter/mistakes.py", "_meter/sight.py", "budget/admission.py", "call/errands.py", "context/registry.py",
    "context/unseen.py", "events/dispatcher.py", "providers/asked.py", "wire/fees.py",
}  # fmt: skip
"""Asked whether a limit, a handler, a named price book, a fee, a blind spot, an outer meter or a mistake applies; for a
plain call they say no."""

VENDORS = re.compile(
    r"openai|anthropic|claude|azure|google|gemini|vertex|bedrock|amazon|groq|mistral|moonshot|deepseek|perplexity"
    r"|fireworks|cerebras|cohere|dashscope|openrouter|x\.ai|\bxai\b|ollama|vllm|llama|voyage|qwen|stainless"
    r"|langchain|langgraph|langsmith|langfuse|litellm|pydantic|datadog|ddtrace|new.?relic|sentry|logfire",
    re.IGNORECASE,
)
"""Providers, SDKs, and what stands around them."""
ROOMS_OF_VENDORS = ("providers", "transports", "prices", "estimate", "_vocab", "simulator", "otel", "bills")
"""Where their names belong."""
EXCEPTIONS = {
    ("__init__.py", "openai"): "get_openai_callback, the name under which programs know such a counter",
    ("__init__.py", "langchain"): "whose name that is",
    ("_meter/as_callback.py", "langchain"): "a meter may be handed to it as a callback, and answers to its names",
    ("totals/totals.py", "langchain"): "its names of sums can be read",
    ("events/ports.py", "langchain"): "names and arguments of a handler's methods are its own",
    ("context/subscriber.py", "langchain"): "methods that its base class defines do nothing",
    ("wire/framing.py", "amazon"): "the page that describes the framing stands there",
    ("cli/_fresh_prices.py", "litellm"): "the help says whose lists of prices can be given",
    ("cli/demo.py", "openai"): "the demo is a program that uses the SDK",
    ("cli/demo.py", "anthropic"): "and asks two other providers in the same block",
    ("cli/demo.py", "claude"): "the same",
    ("cli/demo.py", "google"): "the same",
    ("cli/demo.py", "gemini"): "the same",
    ("cli/simulator.py", "openai"): "the simulator's command says which protocol it serves",
    ("cli/__init__.py", "openai"): "the same, in the list of commands",
    ("cli/reconcile.py", "openai"): "whose bill is asked for",
    ("cli/reconcile.py", "anthropic"): "the same",
    ("cli/reconcile.py", "openrouter"): "the same",
    ("report/_ci_formats.py", "azure"): "Azure Pipelines, which runs builds: no provider of models",
    ("report/_commit_info.py", "azure"): "the same",
    ("report/_entry_points.py", "azure"): "the same",
    ("report/_formats.py", "azure"): "the same",
    ("report/_formatting.py", "azure"): "the same",
}
"""Module and name that stand elsewhere all the same, and why."""


def test_imports_go_down_only():
    """The layers contract of pyproject.toml, held by import-linter."""
    command = Path(sys.executable).with_name("lint-imports")
    if not command.exists() and shutil.which("lint-imports") is None:
        pytest.skip("import-linter is not installed here (it is in the group `lint`)")
    done = subprocess.run(
        [str(command) if command.exists() else "lint-imports"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stdout


def test_no_modules_import_each_other_in_a_circle():
    """Imports for type checkers and inside of functions count, and so does the package of what is imported."""
    circles = [sorted(group) for group in _circles(_imports())]

    assert not circles, "\n".join(map(" <-> ".join, circles))


def test_a_circle_would_be_found():
    """The measure above measures."""
    assert [*_circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()})] == [{"a", "b", "c"}]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_has_a_caption(path):
    """The first line of its docstring is one sentence that says what the room is."""
    caption = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))

    assert caption, "no docstring"
    assert caption.splitlines()[0].rstrip().endswith((".", ":")), caption.splitlines()[0]


def test_a_module_can_be_read_in_a_sitting():
    long = {_name(path): n for path in MODULES if (n := _lines(path)) > LONGEST}

    assert not long


def test_the_core_can_be_read_in_an_evening():
    lines = {name: _lines(PACKAGE / name) for name in CORE}

    assert sum(lines.values()) <= CORE_LINES, lines


def test_architecture_names_the_core():
    """The list here and the one that people read are the same."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.partition("\n## The core\n")[2].partition("\n## ")[0]
    named = {
        f"{room}{module}.py"
        for room, modules in re.findall(r"^\| `([a-z_/]*)` \| (.*) \|$", section, re.MULTILINE)
        for module in re.findall(r"`(\w+)`", modules)
    }

    assert named == set(CORE)


_PLAIN_CALLS = """
import httpx, sys
from pathlib import Path
import token_meter
from token_meter import meter

package, passed = Path(token_meter.__file__).parent, set()

def see(frame, event, _):
    if event == "call" and frame.f_code.co_name != "<module>":
        passed.add(frame.f_code.co_filename)

usage = '"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}'
whole = '{"object":"chat.completion","model":"m","choices":[],%s}' % usage
event = 'data: {"object":"chat.completion.chunk","model":"m","choices":[],%s}\\n\\ndata: [DONE]\\n\\n' % usage

def answer(request):
    if b"stream" in request.content:
        return httpx.Response(200, text=event, headers={"content-type": "text/event-stream"})
    return httpx.Response(200, text=whole, headers={"content-type": "application/json"})

with httpx.Client(transport=httpx.MockTransport(answer)) as client:
    for _ in range(2):
        with meter() as cb:
            url = "https://api.openai.com/v1/chat/completions"
            client.post(url, json={"model": "m"})
            with client.stream("POST", url, json={"model": "m", "stream": True}) as response:
                response.read()
        assert cb.total_tokens == 6
        sys.setprofile(see)  # the second time: what is loaded once is loaded
sys.setprofile(None)
print(sorted(Path(path).relative_to(package).as_posix() for path in passed if path.startswith(str(package))))
"""


def test_a_plain_call_passes_through_the_core_only():
    """The list of the core is what runs, apart from the doors in the table above."""
    done = subprocess.run([sys.executable, "-c", _PLAIN_CALLS], capture_output=True, text=True, timeout=60, check=True)
    passed = set(ast.literal_eval(done.stdout))

    assert {"call/attempt.py", "wire/stream.py", "totals/totals.py"} <= passed
    assert passed <= {*CORE, *DOORS_OF_THE_CORE}


def test_names_of_vendors_stand_in_their_rooms():
    """In code, strings, comments and docstrings; each exception has a reason."""
    elsewhere = {
        (_name(path), word.lower())
        for path in MODULES
        if _name(path).partition("/")[0] not in ROOMS_OF_VENDORS
        for word in VENDORS.findall(path.read_text(encoding="utf-8"))
    }

    assert elsewhere == EXCEPTIONS.keys()


def test_pytest_waits_for_every_package_that_is_patched():
    gates = {gate.module for provider in PROVIDERS.providers.values() for gate in provider.gates}

    assert [module for module in gates if not any(f"{module}.".startswith(f"{name}.") for name in CALLERS)] == []


def test_every_public_name_exists_and_is_documented():
    """What the door names can be had, and says what it is."""
    for name in token_meter.__all__:
        assert getattr(token_meter, name).__doc__, name


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def _imports() -> dict[str, set[str]]:
    """What each module imports of the package, wherever the import stands."""
    modules = {_dotted(path): path for path in MODULES}
    return {name: {*_imported(name, path, modules)} - {name} for name, path in modules.items()}


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _imported(name: str, path: Path, modules: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        named: list[str] = []
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports say the whole name"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            named = [module if module in modules else str(node.module) for module in inner]
        for module in named:
            if module in modules:
                yield module
                yield from _packages(module, outside_of=name)


def _packages(module: str, *, outside_of: str) -> Iterator[str]:
    """The packages whose own code runs when *module* is imported from elsewhere; not the root, which all share."""
    parts = module.split(".")
    for n in range(2, len(parts)):
        package = ".".join(parts[:n])
        if not f"{outside_of}.".startswith(f"{package}."):
            yield package


def _circles(imports: dict[str, set[str]]) -> Iterator[set[str]]:
    """Modules that reach each other, as groups."""
    reached = {name: _reached(name, imports) for name in imports}
    grouped: set[str] = set()
    for name in imports:
        group = {other for other in reached[name] if name in reached.get(other, ())}
        if name in group and name not in grouped:
            grouped |= group
            yield group


def _reached(name: str, imports: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [*imports[name]]
    while waiting:
        other = waiting.pop()
        if other not in seen:
            seen.add(other)
            waiting += imports.get(other, ())
    return seen
