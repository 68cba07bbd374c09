"""The conformance suite of the storage contract, for every driver.

A driver's tests are a class and a fixture::

    import pytest
    from zaqarserver.storage.testing import StorageContract

    class TestMyStorage(StorageContract):
        @pytest.fixture
        def driver(self, tmp_path):
            return MyStorage.from_uri(f"mine://{tmp_path}", {})

The suite opens and closes the driver itself; each test gets a fresh one, empty.
What a driver does not declare in ``capabilities`` is skipped with that reason
(``pytest -rs`` lists them). :mod:`zaqarserver.storage.testing.model` compares a
driver with a small model of the contract, step by step.

Needs ``pytest`` and ``anyio`` (its pytest plugin runs the coroutines), and the
model ``hypothesis``: the extra ``test``. For readable failures call
``pytest.register_assert_rewrite("zaqarserver.storage.testing")`` in the
``conftest.py``.
"""

from zaqarserver.storage.testing.catalog import CatalogContract
from zaqarserver.storage.testing.claims import ClaimContract
from zaqarserver.storage.testing.deadletters import DeadLetterContract
from zaqarserver.storage.testing.deletes import DeleteContract
from zaqarserver.storage.testing.deliveries import DeliveryContract
from zaqarserver.storage.testing.grants import GrantContract
from zaqarserver.storage.testing.keys import KeyContract
from zaqarserver.storage.testing.life import LifeContract
from zaqarserver.storage.testing.messages import MessageContract
from zaqarserver.storage.testing.moving import MovingContract
from zaqarserver.storage.testing.moving_steps import MovingStepsContract
from zaqarserver.storage.testing.placements import PlacementContract
from zaqarserver.storage.testing.queues import QueueContract
from zaqarserver.storage.testing.releases import ReleaseContract
from zaqarserver.storage.testing.stats import StatsContract
from zaqarserver.storage.testing.subscriptions import SubscriptionContract
from zaqarserver.storage.testing.tenancy import TenancyContract
from zaqarserver.storage.testing.usage import UsageContract
from zaqarserver.storage.testing.watching import WatchContract


class StorageContract(
    LifeContract,
    QueueContract,
    MessageContract,
    DeleteContract,
    KeyContract,
    ClaimContract,
    DeadLetterContract,
    ReleaseContract,
    StatsContract,
    TenancyContract,
    SubscriptionContract,
    DeliveryContract,
    CatalogContract,
    PlacementContract,
    MovingContract,
    MovingStepsContract,
    GrantContract,
    UsageContract,
    WatchContract,
):
    """All of the contract."""


__all__ = ["StorageContract"]
