"""An AI voice agent on a telephone line."""
