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

from typing import Any

from trunkline.testing.suites.realtime_endurance import Endurance
from trunkline.testing.suites.realtime_lifetime import Lifetime
from trunkline.testing.suites.realtime_troubles import Troubles
from trunkline.testing.suites.realtime_turns import Turns


class RealtimeProviderSuite(Turns, Troubles, Endurance, Lifetime):
    """Subclass it, say what the provider can do and what its vendor can suffer, and write `vendor`.

    A check that does not apply to such a provider is not there: neither collected nor counted.

    Attributes:
        capabilities: What the provider says it can do.
        troubles: What your vendor can be made to suffer by `Vendor.inflict`.
        patience: Seconds that one check may take.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in dir(RealtimeProviderSuite):
            check = getattr(RealtimeProviderSuite, name)
            condition = getattr(check, "applies", None)
            if condition is not None and getattr(cls, name) in {check, None}:
                setattr(cls, name, check if condition(cls) else None)

    @classmethod
    def checks(cls) -> list[str]:
        """The names of the checks that apply, in the order of the alphabet."""
        return [name for name in dir(cls) if name.startswith("test_") and getattr(cls, name) is not None]

    @classmethod
    async def run(cls) -> list[str]:
        """Run all checks that apply, one after the other, without pytest; gives their names.

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
