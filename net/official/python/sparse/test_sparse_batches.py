"""Look-ups and batch sizes with the deprecated operations, and several clients at once."""

import threading

import pytest
from sparse_bank import INT_MAX, S, SparseBank, tb


def test_lookups(bank):
    """In the order of the request, missing ones left out, repeated ones repeated."""
    first, second = bank.pair()
    transfer = bank.transfer(first, second)
    assert bank.create(transfer) == {}
    accounts = bank.client.lookup_accounts([second, tb.id(), first, 0, second, INT_MAX])
    assert [a.id for a in accounts] == [second, first, second]
    transfers = bank.client.lookup_transfers([tb.id(), transfer.id, 0, transfer.id])
    assert [t.id for t in transfers] == [transfer.id] * 2
    assert transfers[0].amount == 10


def test_empty_batches(bank):
    """An empty batch is answered by an empty result."""
    client = bank.client
    for call in ("create_accounts", "create_transfers", "lookup_accounts", "lookup_transfers"):
        assert getattr(client, call)([]) == []


def largest_batch(bank):
    """8190 events where requests have no trailer (before 0.16.35), else 8189."""
    try:
        bank.client.lookup_accounts([tb.id()] * 8190)
        return 8190
    except Exception as error:
        assert "TOO_MUCH_DATA" in repr(error)
        return 8189


def test_largest_batch(bank):
    """The largest batch is taken whole and found whole."""
    count = largest_batch(bank)
    debit, credit = bank.pair()
    batch = [bank.transfer(debit, credit, amount=1) for _ in range(count)]
    assert bank.create(*batch) == {}
    assert bank.balances(debit) == (0, count, 0, 0)
    ids = [t.id for t in batch]
    assert [t.id for t in bank.client.lookup_transfers(ids)] == ids
    assert bank.create(*batch) == dict.fromkeys(range(count), S.EXISTS)
    with pytest.raises(Exception, match="TOO_MUCH_DATA"):
        bank.client.create_transfers([bank.transfer() for _ in range(8191)])


def test_ten_clients(bank, address):
    """Ten clients on the same two accounts: every transfer counts once."""
    debit, credit = bank.pair()
    failed = []

    def work():
        with tb.ClientSync(cluster_id=0, replica_addresses=address) as client:
            own = SparseBank(client)
            own.ledger = bank.ledger
            for size in (1, 10, 100, 1000, 3):
                batch = [own.transfer(debit, credit, amount=1) for _ in range(size)]
                failed.append(own.create(*batch))

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [{}] * 50
    assert bank.balances(debit) == (0, 10 * 1114, 0, 0)
    assert bank.balances(credit) == (0, 0, 0, 10 * 1114)
