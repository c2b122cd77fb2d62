"""OpenAI's services over HTTP, simulated on loopback."""

from trunkline.testing.openai_http.chat import ChatCompletions
from trunkline.testing.openai_http.chunks import Quirk
from trunkline.testing.openai_http.server import OpenAISimulator

__all__ = ["ChatCompletions", "OpenAISimulator", "Quirk"]
