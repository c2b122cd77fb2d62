"""Simulators of carriers and vendors, for your tests and ours."""
