"""Carriers: the outgoing line, signatures, REST."""
