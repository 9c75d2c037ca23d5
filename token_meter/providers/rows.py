"""The providers that are known, in the order in which their apis are looked up: a path that two have is the first's."""

from __future__ import annotations

from token_meter.providers import compatible, hosted
from token_meter.providers.anthropic import ANTHROPIC
from token_meter.providers.bedrock import AWS
from token_meter.providers.cohere import COHERE
from token_meter.providers.google import GOOGLE
from token_meter.providers.mistral import MISTRAL
from token_meter.providers.ollama import OLLAMA
from token_meter.providers.openai import OPENAI
from token_meter.providers.voyage import VOYAGE
from token_meter.providers.xai import XAI

ROWS = (OPENAI, ANTHROPIC, GOOGLE, AWS, MISTRAL, COHERE, OLLAMA, VOYAGE, XAI, *compatible.ROWS, *hosted.ROWS)
