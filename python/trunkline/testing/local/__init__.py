"""The demo's conversation: a receptionist with local ears and voice."""
