"""What the row shows is what it says it shows."""

import types

import trunkline.audio


def test_all_is_exact() -> None:
    shown = {
        name
        for name, value in vars(trunkline.audio).items()
        if name[0] != "_" and not isinstance(value, types.ModuleType)
    }
    assert shown == set(trunkline.audio.__all__)
