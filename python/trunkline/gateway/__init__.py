"""Calls, sessions and the carriers' front doors."""
