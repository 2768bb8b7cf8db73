"""query_accounts: accounts by user data, ledger, code and time.

Each bank has a ledger number of its own, so a query by ledger sees one test only.
"""

import pytest
from bank import BATCH_MAX, INT_MAX
from filters import INVALID_TIMES, ids, query_filter
from tigerbeetle import AccountFlags, QueryFilterFlags
from tigerbeetle import CreateAccountStatus as A


def query(bank, **fields):
    """Runs the query inside the bank's ledger."""
    return bank.client.query_accounts(query_filter(**({"ledger": bank.ledger} | fields)))


def test_by_ledger_in_order_of_time(bank):
    """All accounts of a ledger, oldest first or newest first, with their balances of now."""
    first, second = bank.pair()
    bank.move(first, second)
    bank.close(second)
    assert query(bank) == bank.snapshot()
    assert ids(query(bank, flags=QueryFilterFlags.REVERSED)) == bank.opened[::-1]


@pytest.mark.parametrize(
    "field,values",
    [
        ("user_data_128", [1, 2**100, INT_MAX]),
        ("user_data_64", [1, 2**40, 2**64 - 1]),
        ("user_data_32", [1, 2**20, 2**32 - 1]),
        ("code", [1, 2**10, 2**16 - 1]),
    ],
)
def test_by_field(bank, field, values):
    """Each field filters alone; zero filters nothing."""
    opened = [(bank.open(**{field: value}), value) for value in values * 2]
    for value in values:
        expected = [account for account, own in opened if own == value]
        assert ids(query(bank, **{field: value})) == expected
    assert ids(query(bank)) == [account for account, _ in opened]


def test_fields_together(bank):
    """Several fields must all match."""
    wanted = bank.open(user_data_64=1, code=2)
    bank.open(user_data_64=1, code=3)
    bank.open(user_data_64=2, code=2)
    assert ids(query(bank, user_data_64=1, code=2)) == [wanted]
    assert query(bank, user_data_64=2, code=3) == []


def test_time_range(bank):
    """Both ends belong to the range, with and without another field."""
    batch = [bank.account() for _ in range(5)]
    times = [r.timestamp for r in bank.client.create_accounts(batch)]
    sent = ids(batch)
    for ledger in (bank.ledger, 0):
        bounds = {"ledger": ledger, "timestamp_min": times[1], "timestamp_max": times[3]}
        assert ids(query(bank, **bounds)) == sent[1:4]
        bounds["flags"] = QueryFilterFlags.REVERSED
        assert ids(query(bank, **bounds)) == sent[3:0:-1]
    assert ids(query(bank, timestamp_min=times[4])) == sent[4:]


def test_limit(bank):
    """The limit takes the first ones in the order asked for."""
    batch = [bank.account() for _ in range(10)]
    assert bank.create_accounts(*batch) == [A.CREATED] * 10
    assert ids(query(bank, limit=3)) == ids(batch[:3])
    reverse = query(bank, limit=3, flags=QueryFilterFlags.REVERSED)
    assert ids(reverse) == ids(batch[:6:-1])


def test_everything(bank):
    """A filter without any field walks all accounts by time, transfers left out."""
    first, second = bank.pair()
    transfer = bank.move(first, second)
    everything = query_filter(limit=2, flags=QueryFilterFlags.REVERSED)
    assert ids(bank.client.query_accounts(everything)) == [second, first]
    since = bank.stored(transfer.id).timestamp
    assert bank.client.query_accounts(query_filter(timestamp_min=since)) == []


def test_largest_answer(bank):
    """An answer may fill the message."""
    batch = [bank.account(flags=AccountFlags.HISTORY) for _ in range(BATCH_MAX)]
    assert bank.create_accounts(*batch) == [A.CREATED] * BATCH_MAX
    bank.open()
    assert ids(query(bank)) == ids(batch)


@pytest.mark.parametrize("fields", INVALID_TIMES + [{"limit": 0}, {"flags": 2}], ids=str)
def test_invalid_filter(bank, fields):
    """An invalid filter finds nothing."""
    bank.open()
    assert len(query(bank)) == 1
    assert query(bank, **fields) == []
