"""get_account_transfers: the transfers of one account, by time."""

import pytest
import tigerbeetle as tb
from bank import BATCH_MAX, INT_MAX
from filters import BOTH, INVALID_TIMES, account_filter, ids
from tigerbeetle import AccountFilterFlags, TransferFlags
from tigerbeetle import CreateTransferStatus as S


def get(bank, account, **fields):
    """Runs the query."""
    return bank.client.get_account_transfers(account_filter(**({"account_id": account} | fields)))


def test_both_sides_in_order_of_time(bank):
    """Debits and credits of the account, and of no other, oldest first."""
    account, other = bank.pair()
    third = bank.open()
    out = bank.move(account, other)
    bank.move(other, third)
    back = bank.move(other, account)
    assert ids(get(bank, account)) == [out.id, back.id]
    assert ids(get(bank, account, flags=AccountFilterFlags.DEBITS)) == [out.id]
    assert ids(get(bank, account, flags=AccountFilterFlags.CREDITS)) == [back.id]
    reverse = get(bank, account, flags=BOTH | AccountFilterFlags.REVERSED)
    assert ids(reverse) == [back.id, out.id]


def test_whole_transfers(bank):
    """The answer has the same contents as a look-up."""
    account, other = bank.pair()
    transfer = bank.move(account, other, user_data_128=INT_MAX, user_data_64=5, user_data_32=6)
    assert get(bank, account) == [bank.stored(transfer.id)]


def test_pending_post_and_void(bank):
    """The three kinds are all there, with the accounts of the pending transfer."""
    account, other = bank.pair()
    first, second = bank.hold(account, other), bank.hold(account, other)
    post, void = bank.post(first), bank.void(second)
    assert bank.create(post, void) == [S.CREATED] * 2
    found = get(bank, account)
    assert ids(found) == [first.id, second.id, post.id, void.id]
    assert {t.debit_account_id for t in found} == {account}


def test_failed_transfers_are_not_there(bank):
    """Neither a failure nor a broken chain leaves anything to find."""
    account, other = bank.pair()
    chain = [
        bank.transfer(account, other, flags=TransferFlags.LINKED),
        bank.transfer(account, other, code=0),
    ]
    assert S.CREATED not in bank.create(*chain, bank.transfer(account, tb.id()))
    assert get(bank, account) == []


@pytest.mark.parametrize(
    "field,values",
    [
        ("user_data_128", [1, 2**100, INT_MAX]),
        ("user_data_64", [1, 2**40, 2**64 - 1]),
        ("user_data_32", [1, 2**20, 2**32 - 1]),
        ("code", [1, 2**10, 2**16 - 1]),
    ],
)
def test_filter_by_field(bank, field, values):
    """Each field filters alone; zero filters nothing."""
    account, other = bank.pair()
    moved = [bank.move(account, other, **{field: value}) for value in values * 2]
    for value in values:
        expected = [t.id for t in moved if getattr(t, field) == value]
        assert ids(get(bank, account, **{field: value})) == expected
    assert ids(get(bank, account)) == ids(moved)


def test_filters_together(bank):
    """Several fields must all match."""
    account, other = bank.pair()
    wanted = bank.move(account, other, user_data_64=1, code=2)
    bank.move(account, other, user_data_64=1, code=3)
    bank.move(account, other, user_data_64=2, code=2)
    assert ids(get(bank, account, user_data_64=1, code=2)) == [wanted.id]
    assert get(bank, account, user_data_64=2, code=3) == []


def test_time_range(bank):
    """Both ends belong to the range."""
    account, other = bank.pair()
    batch = [bank.transfer(account, other) for _ in range(5)]
    times = [r.timestamp for r in bank.client.create_transfers(batch)]
    sent = ids(batch)
    assert ids(get(bank, account, timestamp_min=times[1])) == sent[1:]
    assert ids(get(bank, account, timestamp_max=times[3])) == sent[:4]
    assert ids(get(bank, account, timestamp_min=times[1], timestamp_max=times[3])) == sent[1:4]
    assert ids(get(bank, account, timestamp_min=times[2], timestamp_max=times[2])) == [sent[2]]
    assert get(bank, account, timestamp_min=times[4] + 1) == []


def test_limit_and_paging(bank):
    """Pages of any size together are the whole answer, in both directions."""
    account, other = bank.pair()
    batch = [bank.transfer(account, other) for _ in range(10)]
    assert bank.create(*batch) == [S.CREATED] * 10
    found, after = [], 0
    while page := get(bank, account, limit=3, timestamp_min=after):
        found += ids(page)
        after = page[-1].timestamp + 1
    assert found == ids(batch)
    found, before = [], 0
    reverse = BOTH | AccountFilterFlags.REVERSED
    while page := get(bank, account, limit=4, timestamp_max=before, flags=reverse):
        found += ids(page)
        before = page[-1].timestamp - 1
    assert found == ids(reversed(batch))


def test_largest_answer(bank):
    """An answer may fill the message; the client refuses to ask for more."""
    account, other = bank.pair()
    batch = [bank.transfer(account, other) for _ in range(BATCH_MAX)]
    assert bank.create(*batch) == [S.CREATED] * BATCH_MAX
    last = bank.move(account, other)
    assert ids(get(bank, account)) == ids(batch)
    reverse = get(bank, account, flags=BOTH | AccountFilterFlags.REVERSED)
    assert ids(reverse) == [last.id] + ids(reversed(batch[1:]))
    with pytest.raises(tb.TooMuchDataError):
        get(bank, account, limit=BATCH_MAX + 1)


@pytest.mark.parametrize(
    "fields",
    INVALID_TIMES
    + [{"limit": 0}, {"flags": AccountFilterFlags.NONE}, {"flags": AccountFilterFlags.REVERSED}]
    + [{"flags": BOTH | 8}, {"account_id": 0}, {"account_id": INT_MAX}],
    ids=str,
)
def test_invalid_filter(bank, fields):
    """An invalid filter finds nothing."""
    account, other = bank.pair()
    bank.move(account, other)
    assert len(get(bank, account)) == 1
    assert get(bank, account, **fields) == []


def test_unknown_account(bank):
    """An account that does not exist has no transfers."""
    assert get(bank, tb.id()) == []
