"""Batches of every size from none to the most that fits a message."""

import dataclasses

import pytest
import tigerbeetle as tb
from bank import BATCH_MAX
from tigerbeetle import CreateAccountStatus as A
from tigerbeetle import CreateTransferStatus as S


def test_empty_batches(bank):
    """An empty batch is answered by an empty result."""
    assert bank.client.create_accounts([]) == []
    assert bank.client.create_transfers([]) == []


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 31, 255, 1024, BATCH_MAX - 1, BATCH_MAX])
def test_transfers(bank, count):
    """Every event of a batch takes effect once and is found afterwards."""
    debit, credit = bank.pair()
    batch = [bank.transfer(debit, credit, amount=i + 1) for i in range(count)]
    results = bank.client.create_transfers(batch)
    assert [r.status for r in results] == [S.CREATED] * count
    total = count * (count + 1) // 2
    assert bank.balances(debit) == (0, total, 0, 0)
    assert bank.balances(credit) == (0, 0, 0, total)
    for transfer, result in zip(batch, results):
        transfer.timestamp = result.timestamp
    assert bank.client.lookup_transfers([t.id for t in batch]) == batch


def test_largest_batch_of_accounts(bank):
    """The same for accounts."""
    batch = [bank.account(user_data_64=i) for i in range(BATCH_MAX)]
    results = bank.client.create_accounts(batch)
    assert [r.status for r in results] == [A.CREATED] * BATCH_MAX
    found = bank.client.lookup_accounts([a.id for a in batch])
    assert [a.timestamp for a in found] == [r.timestamp for r in results]
    assert [dataclasses.replace(a, timestamp=0) for a in found] == batch
    assert bank.create_accounts(*batch) == [A.EXISTS] * BATCH_MAX


def test_largest_batch_of_failures(bank):
    """Results of failures are as many as those of successes."""
    statuses = bank.create(*[bank.transfer(tb.id(), tb.id()) for _ in range(BATCH_MAX)])
    assert statuses == [S.DEBIT_ACCOUNT_NOT_FOUND] * BATCH_MAX


@pytest.mark.parametrize(
    "call", ["create_accounts", "create_transfers", "lookup_accounts", "lookup_transfers"]
)
def test_one_too_many(bank, call):
    """One event more does not fit: the client refuses it by the limit the server announced."""
    make = {"create_accounts": bank.account, "create_transfers": bank.transfer}.get(call, tb.id)
    with pytest.raises(tb.TooMuchDataError):
        getattr(bank.client, call)([make() for _ in range(BATCH_MAX + 1)])


def test_large_and_small_in_turn(bank):
    """A small request after a large one sees none of the large one's bytes."""
    debit, credit = bank.pair()
    for _ in range(5):
        batch = [bank.transfer(debit, credit, amount=1) for _ in range(BATCH_MAX)]
        assert bank.create(*batch) == [S.CREATED] * BATCH_MAX
        bank.move(debit, credit, amount=1)
    assert bank.balances(debit) == (0, 5 * (BATCH_MAX + 1), 0, 0)
