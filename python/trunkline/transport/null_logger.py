"""The logger that the WebSocket state machine is given; its own would write headers and messages, secrets among them, at level DEBUG."""

import logging

SILENT = logging.Logger("trunkline.transport.websocket.client", level=logging.CRITICAL + 1)  # noqa: LOG001 - outside the tree, so that no setting wakes it
