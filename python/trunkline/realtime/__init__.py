"""Realtime providers: voice in, voice out."""
