"""Deepgram: Nova (`/v1/listen`) and Flux (`/v2/listen`)."""
