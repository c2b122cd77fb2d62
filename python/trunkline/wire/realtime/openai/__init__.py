"""OpenAI's Realtime protocol."""
