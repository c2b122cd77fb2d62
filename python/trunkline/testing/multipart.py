"""Reads the bodies of `multipart/form-data` requests (RFC 7578), as a simulated service gets them."""

import re
from dataclasses import dataclass

_BOUNDARY = re.compile(r'boundary="?([^";]+)"?')
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class FormPart:
    """One part: a field, or a file if it has a filename."""

    name: str
    content: bytes
    filename: str | None = None
    media_type: str = ""

    @property
    def text(self) -> str:
        """The content as UTF-8."""
        return self.content.decode(errors="replace")


def form_parts(content_type: str, body: bytes) -> list[FormPart]:
    """The parts of a body, in their order; none where it is of another type."""
    boundary = _BOUNDARY.search(content_type)
    if not content_type.startswith("multipart/form-data") or boundary is None:
        return []
    parts = []
    for section in (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode())[1:-1]:
        head, _, content = section.partition(b"\r\n\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.decode(errors="replace").split("\r\n"))
        }
        parameters = dict(_PARAMETER.findall(headers.get("content-disposition", "")))
        parts.append(
            FormPart(parameters.get("name", ""), content, parameters.get("filename"), headers.get("content-type", ""))
        )
    return parts


def field(parts: list[FormPart], name: str, default: str = "") -> str:
    """The text of a field."""
    return next((part.text for part in parts if part.name == name and part.filename is None), default)
