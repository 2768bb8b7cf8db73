"""Fixtures for the releases that answer one result for each event (0.17.0 and later)."""

import pytest
import tigerbeetle as tb
from bank import Bank


@pytest.fixture(scope="session")
def client(address):
    """One client for the whole run: a client's first reply takes 0.6 s."""
    with tb.ClientSync(cluster_id=0, replica_addresses=address) as client:
        yield client


@pytest.fixture
def bank(client):
    """A bank of its own for each test."""
    return Bank(client)
