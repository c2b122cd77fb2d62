"""Carriers' media streams."""
