"""Anthropic's Messages API on loopback."""

from trunkline.testing.anthropic.server import AnthropicSimulator

__all__ = ["AnthropicSimulator"]
