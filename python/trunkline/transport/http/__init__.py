"""HTTP: a client, and a server for HTTP and WebSocket."""
