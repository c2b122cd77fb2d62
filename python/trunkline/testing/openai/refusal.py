"""How the service says no: one `error` event that leaves everything as it was."""

from collections.abc import Iterable


class Refusal(Exception):
    """A client event that is answered with an `error` event; code, message and param as the service words them."""

    def __init__(self, code: str | None, message: str, param: str | None = None) -> None:
        self.code = code
        self.message = message
        self.param = param
        super().__init__(code, message, param)

    def error(self, event_id: str | None = None) -> dict[str, object]:
        """The `error` object; `event_id` is that of the client event at fault."""
        return {
            "type": "invalid_request_error",
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "event_id": event_id,
        }


def invalid_value(value: object, path: str, supported: Iterable[object] | str) -> Refusal:
    """A value that is not among those supported, or not what the sentence `supported` asks for."""
    said = supported if isinstance(supported, str) else f"Supported values are: {', '.join(map(repr, supported))}."
    return Refusal("invalid_value", f"Invalid value: {value!r}. {said}", path or None)


def unknown_parameter(path: str) -> Refusal:
    """A field that the service does not know."""
    return Refusal("unknown_parameter", f"Unknown parameter: '{path}'.", path)


def missing_parameter(path: str) -> Refusal:
    """A field that has to be there."""
    return Refusal("missing_required_parameter", f"Missing required parameter: '{path}'.", path)
