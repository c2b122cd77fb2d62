"""What errors say, where others have put words into them."""

from trunkline.errors import ConnectionLost


def test_the_other_sides_reason_cannot_write_lines_into_a_log() -> None:
    told = str(ConnectionLost(1011, "overload\nERROR all is lost\x1b[2J"))
    assert told == "the connection ended with code 1011: overload\ufffdERROR all is lost\ufffd[2J"
