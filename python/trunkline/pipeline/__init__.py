"""A call from end to end: bridge, playout, interruption, events, transcript, metrics."""
