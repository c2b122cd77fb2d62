"""The suite that every realtime provider passes, ours and yours.

    from trunkline.testing.suites import RealtimeProviderSuite, Scene, Trouble, Vendor

    class TestMyProvider(RealtimeProviderSuite):
        capabilities = MyProvider.capabilities
        troubles = {Trouble.DROP, Trouble.CLOSE}

        def vendor(self, scene: Scene) -> AbstractAsyncContextManager[Vendor]:
            return my_vendor_on_loopback(scene)

Under pytest the class is collected like any other, with anyio's plugin (`anyio_mode = "auto"`, or mark the class with
`pytest.mark.anyio`), on every event loop that your `anyio_backend` fixture names. Without pytest, `anyio.run(TestMyProvider.run)`.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from unittest import SkipTest

from trunkline.testing.suites.realtime_checks import skip_reason
from trunkline.testing.suites.realtime_commands import Commands
from trunkline.testing.suites.realtime_endurance import Endurance
from trunkline.testing.suites.realtime_history import History
from trunkline.testing.suites.realtime_lifetime import Lifetime
from trunkline.testing.suites.realtime_tools import Tools
from trunkline.testing.suites.realtime_troubles import Troubles
from trunkline.testing.suites.realtime_turns import Turns


class RealtimeProviderSuite(Turns, Tools, Commands, History, Troubles, Endurance, Lifetime):
    """Subclass it, say what the provider can do and what its vendor can suffer, and write `vendor`.

    A check of what the provider cannot do is skipped, and the skip names the capability. A check of a trouble that your vendor cannot be
    made to suffer is not there: neither collected nor counted.

    Attributes:
        capabilities: What the provider says it can do.
        troubles: What your vendor can be made to suffer by `Vendor.inflict`.
        lasting: Whether the provider replaces sessions that break or end, as `RealtimeClient` does; otherwise they end with an error.
        patience: Seconds that one check may take.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in _all_checks():
            check = getattr(RealtimeProviderSuite, name)
            own = getattr(cls, name)
            if own is not None and getattr(own, "stands_for", own) is not check:
                continue  # the subclass has a check of its own
            reason = skip_reason(cls, check)
            if not getattr(check, "offered", _always)(cls):
                setattr(cls, name, None)
            else:
                setattr(cls, name, _skipped(check, reason) if reason else check)

    @classmethod
    def checks(cls) -> list[str]:
        """The names of the checks that apply, in the order of the alphabet."""
        return [name for name in _all_checks(cls) if not hasattr(getattr(cls, name), "stands_for")]

    @classmethod
    def skipped(cls) -> dict[str, str]:
        """The checks that do not apply, each with the capability that is the reason."""
        return {
            name: skip_reason(cls, getattr(cls, name).stands_for)
            for name in _all_checks(cls)
            if name not in cls.checks()
        }

    @classmethod
    async def run(cls) -> list[str]:
        """Run all checks that apply, one after the other, without pytest; returns their names.

        Raises:
            ExceptionGroup: Of the checks that failed, each with its name in a note.
        """
        failures: list[Exception] = []
        for name in cls.checks():
            try:
                await getattr(cls(), name)()
            except Exception as error:  # noqa: BLE001 - whatever goes wrong is what is looked for
                error.add_note(f"in the check {name}")
                failures.append(error)
        if failures:
            raise ExceptionGroup(f"{len(failures)} of {len(cls.checks())} checks failed", failures)
        return cls.checks()


def _all_checks(suite: type = RealtimeProviderSuite) -> list[str]:
    return [name for name in dir(suite) if name.startswith("test_") and getattr(suite, name) is not None]


def _always(_: type) -> bool:
    return True


def _skipped(check: Callable[..., Any], reason: str) -> Callable[..., Any]:
    """A check that only says why it is not run; pytest takes `SkipTest` for a skip."""

    @wraps(check)
    async def skip(_: object) -> None:
        raise SkipTest(reason)

    skip.stands_for = check  # type: ignore[attr-defined]
    return skip
