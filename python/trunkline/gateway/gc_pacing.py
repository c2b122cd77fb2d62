"""Python's garbage collector at a time of our choosing: seldom, instead of whenever enough objects were made."""

import gc

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import InvalidConfig

PLENTY = 500_000
"""Objects made and not freed since the last collection that call for one before its time."""

LOOK_EVERY = 1.0


async def pace_garbage_collection(*, every: float = 30.0, clock: Clock = SYSTEM_CLOCK) -> None:
    """Collect garbage every so many seconds, and not otherwise, until cancelled; for a program that carries many calls.

    By itself Python looks for garbage many times a second where a hundred calls are carried, and every few seconds through all there is,
    which stops the program for tens of milliseconds. No caller hears that, as so much is sent ahead, but who interrupts the agent just
    then waits as much longer for silence. What counting references frees, nearly all that a call leaves, is still freed at once; what
    was made before this began is not looked at. The collector is the whole process's, so no part of trunkline starts this by itself.

    Args:
        every: Seconds between collections.
        clock: Where time comes from.

    Raises:
        InvalidConfig: `every` is not above 0.
    """
    if not every > 0:
        raise InvalidConfig("every", "must be above 0")
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        while True:
            due = clock.now() + every
            while clock.now() < due and gc.get_count()[0] < PLENTY:
                await clock.sleep_until(min(due, clock.now() + LOOK_EVERY))
            gc.collect()
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()
