"""DashScope's international prices, of which the public list has one: by litellm's table, a secondary source.

Models whose output costs more when they think are left out: an answer does not say whether its model did.
"""

from __future__ import annotations

from token_meter.prices._overlay_row import Row

_SOURCE = "litellm 1.110.2 (secondary), which names https://www.alibabacloud.com/help/en/model-studio/models"
_READ = "2026-11-27"

_FLAT: dict[str, tuple[str, ...]] = {
    "deepseek-v4-flash": ("0.2", "0.4", "0.04"),
    "deepseek-v4-flash-0731": ("0.2", "0.4", "0.04"),
    "deepseek-v4-pro": ("2.4", "4.8", "0.2"),
    "glm-5.1": ("1.4", "4.4", "0.26"),
    "glm-5.2": ("1.4", "4.4", "0.28"),
    "kimi-k2.7-code": ("0.95", "4", "0.19"),
    "qwen-coder": ("0.3", "1.5"),
    "qwen-max": ("1.6", "6.4"),
    "qwen-turbo-2024-11-01": ("0.05", "0.2"),
    "qwen3-next-80b-a3b-instruct": ("0.15", "1.2"),
    "qwen3-next-80b-a3b-thinking": ("0.15", "1.2"),
    "qwen3-vl-235b-a22b-instruct": ("0.4", "1.6"),
    "qwen3-vl-235b-a22b-thinking": ("0.4", "4"),
    "qwen3-vl-32b-instruct": ("0.16", "0.64"),
    "qwen3-vl-32b-thinking": ("0.16", "2.87"),
    "qwen3.7-max": ("2.5", "7.5"),
    "qwen3.8-flash": ("0.15", "0.47"),
    "qwen3.8-max": ("2", "6", "0.25"),
    "qwen3.8-omni-flash": ("0.15", "0.47", "0.016"),
    "qwq-plus": ("0.8", "2.4"),
}
"""Input, output and, where it is one rate, cached input."""

_BANDS: tuple[tuple[tuple[str, ...], tuple[tuple[int, tuple[str, ...]], ...]], ...] = (
    (
        (
            "qwen-flash",
            "qwen-flash-2025-07-28",
        ),
        (
            (0, ("0.05", "0.4")),
            (256000, ("0.25", "2")),
        ),
    ),
    (
        ("qwen3-coder-flash",),
        (
            (0, ("0.3", "1.5", "0.08")),
            (32000, ("0.5", "2.5", "0.12")),
            (128000, ("0.8", "4", "0.2")),
            (256000, ("1.6", "9.6", "0.4")),
        ),
    ),
    (
        ("qwen3-coder-flash-2025-07-28",),
        (
            (0, ("0.3", "1.5")),
            (32000, ("0.5", "2.5")),
            (128000, ("0.8", "4")),
            (256000, ("1.6", "9.6")),
        ),
    ),
    (
        ("qwen3-coder-plus",),
        (
            (0, ("1", "5", "0.1")),
            (32000, ("1.8", "9", "0.18")),
            (128000, ("3", "15", "0.3")),
            (256000, ("6", "60", "0.6")),
        ),
    ),
    (
        ("qwen3-coder-plus-2025-07-22",),
        (
            (0, ("1", "5")),
            (32000, ("1.8", "9")),
            (128000, ("3", "15")),
            (256000, ("6", "60")),
        ),
    ),
    (
        (
            "qwen3-max-2026-01-23",
            "qwen3-max-preview",
        ),
        (
            (0, ("1.2", "6")),
            (32000, ("2.4", "12")),
            (128000, ("3", "15")),
        ),
    ),
    (
        ("qwen3-vl-plus",),
        (
            (0, ("0.2", "1.6")),
            (32000, ("0.3", "2.4")),
            (128000, ("0.6", "4.8")),
        ),
    ),
    (
        ("qwen3.5-plus",),
        (
            (0, ("0.4", "2.4")),
            (256000, ("0.5", "3")),
        ),
    ),
    (
        ("qwen3.7-plus",),
        (
            (0, ("0.4", "1.6", "0.08")),
            (256000, ("1.2", "4.8", "0.24")),
        ),
    ),
)
"""The same by the start of each band, in input tokens."""


def _rates(rates: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(("input", "output", "cached_input"), rates, strict=False))


QWEN = tuple(Row("dashscope", (name,), _SOURCE, _READ, rates=_rates(rates)) for name, rates in _FLAT.items()) + tuple(
    Row(
        "dashscope", names, _SOURCE, _READ, rates=_rates(bands[0][1]),
        above=tuple((start, _rates(rates)) for start, rates in bands[1:]),
    )
    for names, bands in _BANDS
)  # fmt: skip
