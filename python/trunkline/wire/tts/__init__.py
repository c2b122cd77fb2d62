"""What text-to-speech vendors send and are sent."""
