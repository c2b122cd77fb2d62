"""What can be said of a text, and at what length."""


def is_speakable(text: str) -> bool:
    """Whether there is anything in a text that can be said."""
    return any(character.isalnum() for character in text)


def bounded(text: str, most: int) -> list[str]:
    """The text in parts of at most so many characters, cut at white space where there is some."""
    parts: list[str] = []
    rest = text.strip()
    while len(rest) > most:
        cut = rest.rfind(" ", 1, most + 1)
        cut = most if cut < 0 else cut
        parts.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*parts, rest] if rest else parts
