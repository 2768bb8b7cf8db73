"""query_transfers: transfers by user data, ledger, code and time.

Each bank has a ledger number of its own, so a query by ledger sees one test only.
"""

import pytest
from bank import BATCH_MAX, INT_MAX
from filters import INVALID_TIMES, ids, query_filter
from tigerbeetle import CreateTransferStatus as S
from tigerbeetle import QueryFilterFlags


def query(bank, **fields):
    """Runs the query inside the bank's ledger."""
    return bank.client.query_transfers(query_filter(**({"ledger": bank.ledger} | fields)))


def test_by_ledger_in_order_of_time(bank):
    """All transfers of a ledger, also posts and voids, oldest first or newest first."""
    debit, credit = bank.pair()
    plain = bank.move(debit, credit)
    first, second = bank.hold(debit, credit), bank.hold(debit, credit)
    post, void = bank.post(first), bank.void(second)
    assert bank.create(post, void) == [S.CREATED] * 2
    expected = [plain.id, first.id, second.id, post.id, void.id]
    assert query(bank) == bank.client.lookup_transfers(expected)
    assert ids(query(bank, flags=QueryFilterFlags.REVERSED)) == expected[::-1]


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
    debit, credit = bank.pair()
    moved = [bank.move(debit, credit, **{field: value}) for value in values * 2]
    for value in values:
        expected = [t.id for t in moved if getattr(t, field) == value]
        assert ids(query(bank, **{field: value})) == expected
    assert ids(query(bank)) == ids(moved)


def test_post_is_found_by_inherited_fields(bank):
    """What a post took from its pending transfer is indexed for the post too."""
    pending = bank.hold(*bank.pair(), user_data_64=77, code=3)
    post = bank.post(pending)
    assert bank.create(post) == [S.CREATED]
    assert ids(query(bank, user_data_64=77, code=3)) == [pending.id, post.id]


def test_fields_together(bank):
    """Several fields must all match."""
    debit, credit = bank.pair()
    wanted = bank.move(debit, credit, user_data_64=1, user_data_32=9, code=2)
    bank.move(debit, credit, user_data_64=1, user_data_32=9, code=3)
    bank.move(debit, credit, user_data_64=2, user_data_32=9, code=2)
    assert ids(query(bank, user_data_64=1, user_data_32=9, code=2)) == [wanted.id]
    assert query(bank, user_data_64=2, user_data_32=9, code=3) == []


def test_time_range(bank):
    """Both ends belong to the range, with and without another field."""
    debit, credit = bank.pair()
    batch = [bank.transfer(debit, credit) for _ in range(5)]
    times = [r.timestamp for r in bank.client.create_transfers(batch)]
    sent = ids(batch)
    for ledger in (bank.ledger, 0):
        bounds = {"ledger": ledger, "timestamp_min": times[1], "timestamp_max": times[3]}
        assert ids(query(bank, **bounds)) == sent[1:4]
        bounds["flags"] = QueryFilterFlags.REVERSED
        assert ids(query(bank, **bounds)) == sent[3:0:-1]
    assert ids(query(bank, timestamp_max=times[0])) == sent[:1]


def test_limit_and_paging(bank):
    """Pages together are the whole answer."""
    debit, credit = bank.pair()
    batch = [bank.transfer(debit, credit) for _ in range(10)]
    assert bank.create(*batch) == [S.CREATED] * 10
    found, after = [], 0
    while page := query(bank, limit=3, timestamp_min=after):
        found += ids(page)
        after = page[-1].timestamp + 1
    assert found == ids(batch)


def test_everything(bank):
    """A filter without any field walks all transfers by time, accounts left out."""
    first = bank.move(*bank.pair())
    second = bank.move(*bank.pair())
    everything = query_filter(limit=2, flags=QueryFilterFlags.REVERSED)
    assert ids(bank.client.query_transfers(everything)) == [second.id, first.id]


def test_largest_answer(bank):
    """An answer may fill the message."""
    debit, credit = bank.pair()
    batch = [bank.transfer(debit, credit) for _ in range(BATCH_MAX)]
    assert bank.create(*batch) == [S.CREATED] * BATCH_MAX
    bank.move(debit, credit)
    assert ids(query(bank)) == ids(batch)


@pytest.mark.parametrize("fields", INVALID_TIMES + [{"limit": 0}, {"flags": 2}], ids=str)
def test_invalid_filter(bank, fields):
    """An invalid filter finds nothing."""
    bank.move(*bank.pair())
    assert len(query(bank)) == 1
    assert query(bank, **fields) == []
