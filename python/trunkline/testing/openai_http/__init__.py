"""OpenAI's HTTP services, simulated on loopback."""

from trunkline.testing.openai_http.server import OpenAISimulator

__all__ = ["OpenAISimulator"]
