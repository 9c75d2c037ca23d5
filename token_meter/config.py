"""`[tool.token_meter]`, environment, ini and command line as one table of settings.

Precedence: command line, then `TOKEN_METER_*` in the environment, then pytest's ini file, then pyproject.toml, then the
default. An unknown key is an error with a suggestion, because a typo must not disable a budget.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from token_meter._price_place import PRICE_LIST, list_in_place
from token_meter._text import suggestion
from token_meter.exceptions import ConfigError

PREFIX = "TOKEN_METER_"
OWN_VARIABLES = ("TOKEN_METER_RUN_DIR", "TOKEN_METER_RUN_CONFIG", "TOKEN_METER_CONTEXT", "TOKEN_METER_CONFIG")
"""Our environment variables other than settings."""

LIMITS = {"max_cost": "cost", "max_spend": "spent", "max_tokens": "tokens", "max_calls": "calls"}
"""The limits by their option names, and the sums that they limit."""
ON_EXCEED = ("warn", "fail", "stop")
"""What happens when a run exceeds a limit."""
_WORDS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


class Key(NamedTuple):
    """One setting: `text`, `flag`, `list`, `table`, `tables`, `count`, `amount`, or a choice of words."""

    kind: str | tuple[str, ...]
    default: Any = None


KEYS: dict[str, Key] = {
    "enabled": Key("flag", True),
    "prices": Key("text"),
    "data_dir": Key("text", ".token_meter"),
    "store": Key("text"),
    "ledger": Key("text"),
    "unpriced": Key(("ignore", "warn", "fail"), "warn"),
    "subprocess": Key("flag", False),
    "labels": Key("table", {}),
    "report.formats": Key("list"),
    "report.sort": Key("text", "-cost"),
    "report.top": Key("count"),
    "report.redact_params": Key("flag", False),
    **{f"budget.{name}": Key("amount") for name in LIMITS},
    "budget.on_exceed": Key(ON_EXCEED, "fail"),
    **{f"budget.test.{name}": Key("amount") for name in LIMITS},
    "budget.match": Key("tables", []),
    "diff.base": Key("text"),
    "diff.fail_on": Key("list", []),
    "diff.warn_on": Key("list", []),
    "diff.min_change": Key("amount", Decimal(0)),
    "diff.if_no_base": Key(("pass", "warn", "fail"), "pass"),
}
_PATHS = {"prices", "data_dir", "ledger", "diff.base"}
"""What a file names is relative to that file, wherever somebody works."""
_MATCH_KEYS = ("tests", *LIMITS, "on_exceed")


class Setting(NamedTuple):
    """A value and its origin."""

    value: Any
    origin: str


class Config:
    """All settings of one run."""

    def __init__(self, settings: Mapping[str, Setting]) -> None:
        self._settings = dict(settings)

    def __getitem__(self, key: str) -> Any:
        return self.setting(key).value

    def setting(self, key: str) -> Setting:
        """The value of *key*, with its origin."""
        return self._settings.get(key) or Setting(KEYS[key].default, "default")

    def named(self, key: str, option: str, ini: str = "") -> str:
        """A setting as the user wrote it: the option, the variable, the key of the ini file or of pyproject.toml."""
        origin = self.setting(key).origin
        return {"command line": option, "ini": f"{ini} of the ini file"}.get(
            origin, origin if origin.startswith(PREFIX) else f"{key} of {origin}"
        )


def load_config(
    pyproject: str | os.PathLike[str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    ini: Mapping[str, Any] | None = None,
    given: Mapping[str, Any] | None = None,
) -> Config:
    """Merge all sources. Values of *ini* and *given* (the command line) that are `None` or empty are ignored.

    Raises:
        ConfigError: a key is unknown or a value is not valid; the message names the source and what was expected.
    """
    settings: dict[str, Setting] = {}
    if pyproject is not None:
        settings.update(_from_pyproject(Path(pyproject)))
    for key, value in (ini or {}).items():
        if value not in (None, "", []):
            settings[key] = Setting(_checked(key, value, "the ini file"), "ini")
    settings.update(_from_environment(os.environ if environment is None else environment))
    kept = list_in_place(lambda: None if pyproject is None else Path(pyproject))
    if "prices" not in settings and kept is not None:
        settings["prices"] = Setting(str(kept), PRICE_LIST)
    for key, value in (given or {}).items():
        if value not in (None, (), []):
            settings[key] = Setting(_checked(key, value, "the command line"), "command line")
    return Config(settings)


def find_pyproject(start: str | os.PathLike[str] = ".") -> Path | None:
    """The nearest pyproject.toml at or above *start*."""
    here = Path(start).resolve()
    return next((path for folder in (here, *here.parents) if (path := folder / "pyproject.toml").is_file()), None)


class Named(NamedTuple):
    """A text setting of a program: its value, what names it, and the directory that a path in it is relative to."""

    value: str
    origin: str
    directory: Path


def program_setting(key: str) -> Named | None:
    """A text setting of a program that no command line configures, of the environment or pyproject.toml.

    A pyproject.toml that is not valid otherwise is not this program's affair.
    """
    variable = PREFIX + key.upper()
    if value := os.environ.get(variable):
        return Named(value, variable, Path.cwd())
    try:
        pyproject = find_pyproject()
        text = "" if pyproject is None else pyproject.read_text(encoding="utf-8")
        if pyproject is None or "token_meter" not in text:
            return None
        import tomllib

        named = tomllib.loads(text)["tool"]["token_meter"][key]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
    return Named(named, str(pyproject), pyproject.parent) if isinstance(named, str) else None


def price_file() -> tuple[str, str] | None:
    """The price file of a program that no command line configures, and what names it."""
    if (named := program_setting("prices")) is not None:
        return os.path.join(named.directory, named.value), named.origin
    path = list_in_place(find_pyproject)
    return None if path is None else (str(path), PRICE_LIST)


def _from_pyproject(path: Path) -> dict[str, Setting]:
    found = _read_pyproject(path)
    for key in _PATHS & found.keys():
        value = found[key].value
        if not value.startswith("git:") and value != "-" and (path.parent.resolve() != Path.cwd() or key == "prices"):
            found[key] = found[key]._replace(value=str(path.parent.resolve() / value))
    return found


def _read_pyproject(path: Path) -> dict[str, Setting]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        msg = f"{path} cannot be read: {exc.strerror}"
        raise ConfigError(msg) from exc
    except UnicodeDecodeError as exc:
        msg = f"{path} is not valid TOML: byte {exc.start} is not UTF-8"
        raise ConfigError(msg) from None
    if "token_meter" not in text:
        return {}
    import tomllib

    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError, ArithmeticError) as exc:  # also for thousands of digits, or such an exponent
        msg = f"{path} is not valid TOML: {exc}"
        raise ConfigError(msg) from None
    tool = data.get("tool", {})
    if not isinstance(tool, dict):
        msg = f"{path.name}: tool must be a table"
        raise ConfigError(msg)
    table = tool.get("token_meter", {})
    where = f"{path.name} [tool.token_meter]"
    found: dict[str, Setting] = {}
    _flatten(table, "", where, found)
    return found


def _flatten(table: Any, prefix: str, where: str, found: dict[str, Setting]) -> None:
    if not isinstance(table, dict):
        msg = f"{where}: {prefix.rstrip('.') or 'it'} must be a table"
        raise ConfigError(msg)
    sections = {name for key in KEYS if key.startswith(prefix) and "." in (name := key[len(prefix) :])}
    inner = {name.partition(".")[0] for name in sections}
    for name, value in table.items():
        key = prefix + name
        if key in KEYS:
            found[key] = Setting(_checked(key, value, where), where.partition(" ")[0])
        elif name in inner:
            _flatten(value, f"{key}.", where, found)
        else:
            here = [key[len(prefix) :].partition(".")[0] for key in KEYS if key.startswith(prefix)]
            elsewhere = next((k for k in KEYS if k.rpartition(".")[2] == name), None)
            hint = suggestion(name, here) or (f"; did you mean {elsewhere!r}?" if elsewhere else suggestion(key, KEYS))
            msg = f"{where}: unknown key {key!r}{hint}; keys are {', '.join(dict.fromkeys(here))}"
            raise ConfigError(msg)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Setting]:
    by_variable = {PREFIX + key.replace(".", "_").upper(): key for key in KEYS if key != "budget.match"}
    found: dict[str, Setting] = {}
    for variable, value in environment.items():
        if not variable.startswith(PREFIX) or variable in OWN_VARIABLES or value == "":
            continue
        key = by_variable.get(variable)
        if key is None:
            hint = suggestion(variable, [known for known in by_variable if known.startswith(variable)] or by_variable)
            if hint:  # a variable without a similar name of ours belongs to another program
                msg = f"environment variable {variable} is not a setting of token_meter{hint}"
                raise ConfigError(msg)
            continue
        found[key] = Setting(_checked(key, _of_text(key, value), f"environment variable {variable}"), variable)
    return found


def _of_text(key: str, text: str) -> Any:
    kind = KEYS[key].kind
    if kind == "list":
        return [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]
    if kind == "table":
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        # One invalid label makes the whole list invalid: without the label, its costs could not be found later.
        is_whole = all(name.strip() and equals for name, equals, _ in pairs)
        return {name.strip(): word.strip() for name, _, word in pairs} if is_whole else text
    if kind == "flag":
        return _WORDS.get(text.strip().lower(), text)
    return text


def _checked(key: str, value: Any, where: str) -> Any:
    """Convert *value* to the kind of its key. Amounts stay as written, because the limits parse them."""
    kind = KEYS[key].kind
    if isinstance(kind, tuple):
        if value not in kind:
            hint = suggestion(value, kind) if isinstance(value, str) else ""
            raise _wrong(where, key, f"one of {', '.join(kind)}", value, hint)
        return value
    if kind == "flag" and not isinstance(value, bool):
        raise _wrong(where, key, "true or false", value)
    if kind == "text" and not isinstance(value, str):
        raise _wrong(where, key, "a string", value)
    if kind == "list":
        items = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else None
        if items is None or not all(isinstance(item, str) for item in items):
            raise _wrong(where, key, "a list of strings", value)
        return items
    if kind == "table":
        if not isinstance(value, dict):
            raise _wrong(where, key, "KEY=VALUE" if where.startswith("environment") else "a table", value)
        return {str(name): str(word) for name, word in value.items()}
    if kind == "tables":
        return _matches(value, where)
    if kind == "count":
        from token_meter._money import parse_count

        return parse_count(value, name=f"{where}: {key}")
    if kind == "amount":
        return _amount(key, value, where)
    return value


def _amount(key: str, value: Any, where: str) -> Any:
    from token_meter._money import parse_count, parse_usd

    if key.endswith(("tokens", "calls")):
        return parse_count(value, name=f"{where}: {key}")
    return parse_usd(value, name=f"{where}: {key}")


def _matches(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise _wrong(where, "budget.match", "a list of tables, [[tool.token_meter.budget.match]]", value)
    for row in value:
        for name in row:
            if name not in _MATCH_KEYS:
                msg = f"{where}: unknown key 'budget.match.{name}'{suggestion(name, _MATCH_KEYS)}"
                raise ConfigError(msg)
        if not isinstance(row.get("tests"), str):
            raise _wrong(where, "budget.match.tests", "a pattern such as tests/evals/**", row.get("tests"))
        if row.get("on_exceed", "fail") not in ON_EXCEED:
            raise _wrong(where, "budget.match.on_exceed", f"one of {', '.join(ON_EXCEED)}", row["on_exceed"])
        for name in LIMITS:
            if name in row:
                row[name] = _amount(f"budget.match.{name}", row[name], where)
    return value


def _wrong(where: str, key: str, expected: str, value: Any, hint: str = "") -> ConfigError:
    return ConfigError(f"{where}: {key} must be {expected}, not {value!r}{hint}")
