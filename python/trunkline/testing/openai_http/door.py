"""Who may ask, and how OpenAI's HTTP interfaces refuse."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from trunkline.testing.text_stream import Refuse
from trunkline.transport import Headers, Response

_CODE_OF_STATUS = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
_KIND_OF_STATUS = {429: "rate_limit_error"}


class Refusal(Exception):
    """Why a request is refused: the sentence, and what stands beside it in the error."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | int | None = None,
        param: str | None = None,
    ) -> None:
        self.status = status
        self.error = {"message": message, "type": kind, "param": param, "code": code}
        super().__init__(message)


def check_key(headers: Headers, api_key: str | None) -> None:
    """See that the request has a key, the right one if there is one.

    Raises:
        Refusal: It has not.
    """
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Refusal("You didn't provide an API key.", status=401)
    if api_key is not None and key.strip() != api_key:
        raise Refusal("Incorrect API key provided.", status=401, code="invalid_api_key")


def refused(refusal: Refusal, headers: Sequence[tuple[str, str]] = ()) -> Response:
    """The answer that a refused request gets."""
    return json_response({"error": refusal.error}, refusal.status, headers)


def refused_on_purpose(fault: Refuse, *, integer_code: bool = False) -> Response:
    """The answer that the script asks for."""
    headers = [] if fault.retry_after is None else [("retry-after", fault.retry_after)]
    if fault.body is not None:
        return Response(fault.status, fault.body, headers=headers, media_type="text/html")
    kind = "server_error" if fault.status >= 500 else _KIND_OF_STATUS.get(fault.status, "invalid_request_error")
    code = fault.status if integer_code else fault.code or _CODE_OF_STATUS.get(fault.status)
    return refused(Refusal(fault.message, status=fault.status, kind=kind, code=code), headers)


def json_response(body: Any, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Response:
    """JSON, with the id that every answer has."""
    return Response(status, json.dumps(body), headers=[*headers, *request_id()], media_type="application/json")


def request_id() -> list[tuple[str, str]]:
    """The header that every answer has."""
    return [("x-request-id", f"req_{uuid4().hex}")]
