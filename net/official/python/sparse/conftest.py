"""Fixtures for the releases whose results list only failures (before 0.17.0)."""

import pytest
import tigerbeetle as tb
from sparse_bank import SparseBank


@pytest.fixture(scope="session")
def client(address):
    """One client for the whole run."""
    with tb.ClientSync(cluster_id=0, replica_addresses=address) as client:
        yield client


@pytest.fixture
def bank(client):
    """A bank of its own for each test."""
    return SparseBank(client)
