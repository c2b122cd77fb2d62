"""Anthropic's Messages API: requests, streamed answers, errors."""
