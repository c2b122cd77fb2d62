"""What the tests of simulators share."""

from collections.abc import AsyncIterator

import pytest

from tests.testing.small_gateway import Gateway
from trunkline.transport import Server


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    gateway = Gateway()
    async with Server(gateway.routes(), grace=0.1) as server:
        gateway.url = server.url
        yield gateway
    assert server.failures == 0
