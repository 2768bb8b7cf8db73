"""get_change_events: what happened to all accounts, by time.

The server may hold more than a test's own events, and nobody else writes to it meanwhile, so tests
look at what happened since their first account.
"""

import pytest
from changes import (
    CHANGES_MAX,
    EXPIRED,
    PENDING,
    POSTED,
    SINGLE_PHASE,
    VOIDED,
    balances,
    changes,
)
from filters import INVALID_TIMES
from tigerbeetle import AccountFlags
from tigerbeetle import CreateTransferStatus as S
from tigerbeetle import TransferFlags as F


def since(bank, account_id, **fields):
    """What happened since an account was opened."""
    return changes(bank, timestamp_min=bank.lookup(account_id).timestamp, **fields)


def test_a_transfer_with_all_fields(bank):
    """An event has everything of the transfer and of both accounts."""
    debit = bank.open(user_data_128=2**100, user_data_64=2**50, user_data_32=3, code=11)
    credit = bank.open(user_data_128=4, user_data_64=5, user_data_32=6, code=12)
    transfer = bank.move(
        debit, credit, amount=77, user_data_128=2**90, user_data_64=8, user_data_32=9, code=13
    )
    [event] = since(bank, debit)
    stored = bank.stored(transfer.id)
    assert event.type == SINGLE_PHASE
    assert (event.transfer_id, event.transfer_amount, event.transfer_pending_id) == (
        transfer.id,
        77,
        0,
    )
    assert event.transfer_user_data_128 == 2**90
    assert (event.transfer_user_data_64, event.transfer_user_data_32) == (8, 9)
    assert (event.transfer_timeout, event.transfer_code, event.transfer_flags) == (0, 13, 0)
    assert event.ledger == bank.ledger
    assert event.timestamp == event.transfer_timestamp == stored.timestamp
    for side, account, timestamp in [
        (event.debit, bank.lookup(debit), event.debit_timestamp),
        (event.credit, bank.lookup(credit), event.credit_timestamp),
    ]:
        assert balances(side) == balances(account)
        assert (side.id, side.code, side.flags) == (account.id, account.code, account.flags)
        assert side.user_data_128 == account.user_data_128
        assert side.user_data_64 == account.user_data_64
        assert side.user_data_32 == account.user_data_32
        assert timestamp == account.timestamp
    assert event.reserved == bytes(39)


def test_balances_are_those_right_after_each(bank):
    """Without the history flag, too; also within a batch, and for both sides."""
    debit, credit = bank.pair()
    other = bank.open(flags=AccountFlags.HISTORY)
    assert (
        bank.create(
            bank.transfer(debit, credit, amount=1),
            bank.transfer(credit, other, amount=2),
            bank.transfer(debit, other, amount=4),
        )
        == [S.CREATED] * 3
    )
    events = since(bank, debit)
    assert [balances(e.debit) for e in events] == [(0, 1, 0, 0), (0, 2, 0, 1), (0, 5, 0, 0)]
    assert [balances(e.credit) for e in events] == [(0, 0, 0, 1), (0, 0, 0, 2), (0, 0, 0, 6)]


def test_failed_events_and_accounts_are_no_change(bank):
    """Nor is a broken chain."""
    debit, credit = bank.pair()
    chain = [bank.transfer(debit, credit, flags=F.LINKED), bank.transfer(debit, 0)]
    bank.create(bank.transfer(debit, debit), *chain)
    assert since(bank, debit) == []


def test_two_phases(bank):
    """The amount of a post is what it posted, that of a void what was pending."""
    debit, credit = bank.pair()
    first = bank.hold(debit, credit, amount=50, timeout=3600)
    second = bank.hold(debit, credit, amount=7, user_data_64=5)
    post, void = bank.post(first, amount=20), bank.void(second, user_data_32=3)
    assert bank.create(post, void) == [S.CREATED] * 2
    events = since(bank, debit)
    assert [e.type for e in events] == [PENDING, PENDING, POSTED, VOIDED]
    assert [e.transfer_amount for e in events] == [50, 7, 20, 7]
    assert [e.transfer_id for e in events] == [first.id, second.id, post.id, void.id]
    assert [e.transfer_pending_id for e in events] == [0, 0, first.id, second.id]
    assert [e.transfer_timeout for e in events] == [3600, 0, 0, 0]
    assert [e.transfer_user_data_64 for e in events] == [0, 5, 0, 5]
    assert [e.transfer_user_data_32 for e in events] == [0, 0, 0, 3]
    assert [e.transfer_flags for e in events] == [2, 2, 4, 8]
    assert [balances(e.debit) for e in events] == [
        (50, 0, 0, 0),
        (57, 0, 0, 0),
        (7, 20, 0, 0),
        (0, 20, 0, 0),
    ]
    assert [e.timestamp for e in events] == [e.transfer_timestamp for e in events]


def test_an_expiry_shows_the_pending_transfer(bank):
    """With its own time, and the accounts after it, which it opens again."""
    debit, credit = bank.pair()
    pending = bank.hold(
        debit, credit, amount=50, timeout=1, user_data_128=9, flags=F.CLOSING_DEBIT
    )
    bank.wait_expired(pending)
    made, expired = since(bank, debit)
    assert (made.type, expired.type) == (PENDING, EXPIRED)
    assert (made.debit.flags, expired.debit.flags) == (AccountFlags.CLOSED, 0)
    assert (made.credit.flags, expired.credit.flags) == (0, 0)
    for name in [
        "transfer_id",
        "transfer_amount",
        "transfer_pending_id",
        "transfer_user_data_128",
        "transfer_timeout",
        "transfer_code",
        "transfer_flags",
        "transfer_timestamp",
        "ledger",
    ]:
        assert getattr(expired, name) == getattr(made, name), name
    assert expired.timestamp >= made.timestamp + 1_000_000_000
    assert balances(expired.debit) == balances(expired.credit) == (0, 0, 0, 0)


def test_an_imported_transfer_behind_an_expiry_stands_before_it(bank):
    """Events come by their timestamps, and show balances in the order they took effect."""
    debit, credit = bank.pair()
    pending = bank.hold(debit, credit, amount=50, timeout=1)
    bank.wait_expired(pending)
    timestamp = bank.stored(pending.id).timestamp + 1000
    imported = bank.transfer(debit, credit, amount=3, flags=F.IMPORTED, timestamp=timestamp)
    assert bank.create(imported) == [S.CREATED]
    events = since(bank, debit)
    assert [e.type for e in events] == [PENDING, SINGLE_PHASE, EXPIRED]
    assert [e.timestamp for e in events] == sorted(e.timestamp for e in events)
    assert events[1].timestamp == events[1].transfer_timestamp == timestamp
    assert [balances(e.debit) for e in events] == [(50, 0, 0, 0), (0, 3, 0, 0), (0, 0, 0, 0)]


def test_windows_and_limits(bank):
    """Both ends belong to the window, and the oldest come first."""
    debit, credit = bank.pair()
    assert bank.create(*[bank.transfer(debit, credit) for _ in range(10)]) == [S.CREATED] * 10
    times = [e.timestamp for e in since(bank, debit)]
    assert len(times) == 10

    def window(low, high, **fields):
        found = changes(bank, timestamp_min=low, timestamp_max=high, **fields)
        return [e.timestamp for e in found]

    assert window(times[2], times[5]) == times[2:6]
    assert window(times[2] + 1, times[5] - 1) == times[3:5]
    assert window(times[4], times[4]) == times[4:5]
    assert window(times[9] + 1, 0) == []
    assert window(times[2], 0, limit=3) == times[2:5]
    assert window(times[2], times[3], limit=3) == times[2:4]


def test_a_limit_above_the_maximum_is_cut(bank):
    """The client itself refuses to ask for more than fits a message."""
    debit, credit = bank.pair()
    batch = [bank.transfer(debit, credit, amount=1) for _ in range(CHANGES_MAX + 10)]
    assert bank.create(*batch) == [S.CREATED] * len(batch)
    first = since(bank, debit, limit=CHANGES_MAX)
    assert [e.transfer_id for e in first] == [t.id for t in batch[:CHANGES_MAX]]
    rest = changes(bank, timestamp_min=first[-1].timestamp + 1, limit=CHANGES_MAX)
    assert [e.transfer_id for e in rest] == [t.id for t in batch[CHANGES_MAX:]]
    assert balances(rest[-1].debit) == (0, len(batch), 0, 0)


@pytest.mark.parametrize("fields", [*INVALID_TIMES, {"limit": 0}], ids=str)
def test_an_invalid_filter_finds_nothing(bank, fields):
    """Never an error."""
    bank.move(*bank.pair())
    assert changes(bank, **fields) == []


@pytest.mark.parametrize("place", [0, 43])
def test_reserved_bytes_must_be_zero(bank, place):
    """As in every filter."""
    bank.move(*bank.pair())
    reserved = [0] * 44
    reserved[place] = 1
    assert changes(bank) != []
    assert changes(bank, reserved=tuple(reserved)) == []
