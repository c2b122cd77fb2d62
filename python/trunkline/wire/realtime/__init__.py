"""Realtime vendors' protocols."""
