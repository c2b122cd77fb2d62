"""OpenAI's Chat Completions API, which many other servers speak: requests, streamed answers, errors."""
