"""Imported events bring their own timestamps.

Their time must lie behind everything of their kind that exists and before the message that brings
them, so these tests need a server that nobody else writes to meanwhile.
"""

import dataclasses

from bank import NS_PER_S
from tigerbeetle import AccountFlags
from tigerbeetle import CreateAccountStatus as A
from tigerbeetle import CreateTransferStatus as S
from tigerbeetle import TransferFlags as F


def imported_transfer(bank, debit, credit, timestamp, **fields):
    """A transfer with the imported flag."""
    flags = fields.pop("flags", F.NONE) | F.IMPORTED
    return bank.transfer(debit, credit, flags=flags, timestamp=timestamp, **fields)


def test_imported_account(bank):
    """The account has the timestamp it brought, in the result and in the look-up."""
    timestamp = bank.import_time()
    account = bank.account(flags=AccountFlags.IMPORTED, timestamp=timestamp)
    [result] = bank.client.create_accounts([account])
    assert (result.status, result.timestamp) == (A.CREATED, timestamp)
    assert bank.lookup(account.id) == account
    [again] = bank.client.create_accounts([account])
    assert (again.status, again.timestamp) == (A.EXISTS, timestamp)


def test_imported_accounts_must_rise(bank):
    """Within a batch the timestamps rise too."""
    timestamp = bank.import_time()
    times = [timestamp + 2, timestamp + 1, timestamp + 2, timestamp + 3]
    batch = [bank.account(flags=AccountFlags.IMPORTED, timestamp=t) for t in times]
    assert bank.create_accounts(*batch) == [
        A.CREATED,
        A.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS,
        A.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS,
        A.CREATED,
    ]


def test_imported_account_at_the_time_of_a_transfer(bank):
    """No account may have the timestamp of a transfer."""
    debit, credit = bank.pair()
    [created] = bank.client.create_transfers([bank.transfer(debit, credit)])
    account = bank.account(flags=AccountFlags.IMPORTED, timestamp=created.timestamp)
    assert bank.create_accounts(account) == [A.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS]
    account.timestamp += 1
    assert bank.create_accounts(account) == [A.CREATED]


def test_imported_transfers(bank):
    """A batch of imported transfers keeps its timestamps and moves money."""
    debit, credit = bank.pair()
    timestamp = bank.import_time()
    batch = [imported_transfer(bank, debit, credit, timestamp + 10 * i) for i in range(3)]
    results = bank.client.create_transfers(batch)
    assert [r.status for r in results] == [S.CREATED] * 3
    assert [r.timestamp for r in results] == [timestamp, timestamp + 10, timestamp + 20]
    assert bank.client.lookup_transfers([t.id for t in batch]) == batch
    assert bank.balances(debit) == (0, 30, 0, 0)
    assert bank.create(*batch) == [S.EXISTS] * 3


def test_imported_transfer_at_the_time_of_an_account(bank):
    """No transfer may have the timestamp of an account."""
    debit, credit = bank.pair()
    bank.import_time()
    witness = bank.lookup(bank.open())
    transfer = imported_transfer(bank, debit, credit, witness.timestamp)
    assert bank.create(transfer) == [S.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS]
    transfer.timestamp += 1
    assert bank.create(transfer) == [S.CREATED]


def test_imported_may_not_lie_in_the_future(bank):
    """A timestamp at or behind the message's own is refused."""
    debit, credit = bank.pair()
    ahead = bank.import_time() + 3600 * NS_PER_S
    assert bank.create(imported_transfer(bank, debit, credit, ahead)) == [
        S.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE
    ]
    account = bank.account(flags=AccountFlags.IMPORTED, timestamp=ahead)
    assert bank.create_accounts(account) == [A.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE]


def test_imported_pending_and_post(bank):
    """Imported pending transfers have no timeout and are resolved like others."""
    debit, credit = bank.pair()
    timestamp = bank.import_time()
    pending = imported_transfer(bank, debit, credit, timestamp, flags=F.PENDING)
    late_post = bank.post(pending, flags=F.IMPORTED, timestamp=timestamp)
    post = bank.post(pending, flags=F.IMPORTED, timestamp=timestamp + 1)
    assert bank.create(pending, late_post, post) == [
        S.CREATED,
        S.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS,
        S.CREATED,
    ]
    assert bank.balances(debit) == (0, 10, 0, 0)
    assert bank.stored(post.id).timestamp == timestamp + 1


def test_imported_chain(bank):
    """Linked imported events are all or nothing; the result keeps the brought timestamp."""
    debit, credit = bank.pair()
    timestamp = bank.import_time()
    first = imported_transfer(bank, debit, credit, timestamp, flags=F.LINKED)
    last = imported_transfer(bank, debit, credit, timestamp + 1, code=0)
    results = bank.client.create_transfers([first, last])
    assert [r.status for r in results] == [S.LINKED_EVENT_FAILED, S.CODE_MUST_NOT_BE_ZERO]
    assert results[0].timestamp == timestamp
    assert bank.create(first, dataclasses.replace(last, code=1)) == [S.CREATED] * 2


def test_normal_transfers_after_an_import(bank):
    """Time goes on from the wall clock, not from the imported time."""
    debit, credit = bank.pair()
    timestamp = bank.import_time()
    assert bank.create(imported_transfer(bank, debit, credit, timestamp)) == [S.CREATED]
    [result] = bank.client.create_transfers([bank.transfer(debit, credit)])
    assert result.status == S.CREATED
    assert result.timestamp > timestamp
