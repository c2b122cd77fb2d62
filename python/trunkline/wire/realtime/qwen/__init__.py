"""Qwen-Omni in realtime, as DashScope speaks it."""
