"""get_account_balances: the balances after each transfer, for accounts with the history flag."""

import pytest
import tigerbeetle as tb
from bank import INT_MAX
from filters import BOTH, INVALID_TIMES, TIME_MAX, account_filter
from tigerbeetle import AccountFilterFlags, AccountFlags
from tigerbeetle import CreateTransferStatus as S


def get(bank, account, **fields):
    """Runs the query."""
    return bank.client.get_account_balances(account_filter(**({"account_id": account} | fields)))


def numbers(balance):
    """(debits_pending, debits_posted, credits_pending, credits_posted)"""
    return (
        balance.debits_pending,
        balance.debits_posted,
        balance.credits_pending,
        balance.credits_posted,
    )


def test_row_after_each_transfer(bank):
    """One row a transfer, with its timestamp and the balances right after it."""
    account, other = bank.open(AccountFlags.HISTORY), bank.open()
    pending = bank.pending(account, other, amount=4)
    batch = [
        bank.transfer(account, other, amount=1),
        bank.transfer(other, account, amount=2),
        pending,
        bank.post(pending, amount=3),
    ]
    results = bank.client.create_transfers(batch)
    rows = get(bank, account)
    assert [numbers(row) for row in rows] == [
        (0, 1, 0, 0),
        (0, 1, 0, 2),
        (4, 1, 0, 2),
        (0, 4, 0, 2),
    ]
    assert [row.timestamp for row in rows] == [r.timestamp for r in results]


def test_sides_order_and_limit(bank):
    """The rows are those of the transfers that the filter selects."""
    account, other = bank.open(AccountFlags.HISTORY), bank.open()
    bank.move(account, other, amount=1, code=1)
    bank.move(other, account, amount=2, code=2)
    bank.move(account, other, amount=3, code=2)
    rows = [(0, 1, 0, 0), (0, 1, 0, 2), (0, 4, 0, 2)]

    def found(**fields):
        return [numbers(row) for row in get(bank, account, **fields)]

    assert found(flags=AccountFilterFlags.DEBITS) == [rows[0], rows[2]]
    assert found(flags=AccountFilterFlags.CREDITS) == [rows[1]]
    assert found(flags=BOTH | AccountFilterFlags.REVERSED) == rows[::-1]
    assert found(limit=2) == rows[:2]
    assert found(code=2) == rows[1:]
    middle = get(bank, account)[1].timestamp
    assert found(timestamp_min=middle) == rows[1:]
    assert found(timestamp_max=middle) == rows[:2]


def test_account_without_history(bank):
    """Only the flag, given at creation, keeps balances; the other side may well have it."""
    plain, keeping = bank.open(), bank.open(AccountFlags.HISTORY)
    bank.move(plain, keeping)
    assert get(bank, plain) == []
    assert len(get(bank, keeping)) == 1


def test_expiry_makes_no_row(bank):
    """An expiry changes the balance but is no transfer; the next row shows its effect."""
    account, other = bank.open(AccountFlags.HISTORY), bank.open()
    pending = bank.hold(account, other, amount=5, timeout=1)
    bank.wait_expired(pending)
    assert [numbers(row) for row in get(bank, account)] == [(5, 0, 0, 0)]
    bank.move(account, other, amount=1)
    assert [numbers(row) for row in get(bank, account)] == [(5, 0, 0, 0), (0, 1, 0, 0)]


def test_last_row_is_the_account(bank):
    """After many transfers in both directions the last row equals the account."""
    account, other = bank.open(AccountFlags.HISTORY), bank.open()
    batch = [
        bank.transfer(*((account, other) if i % 3 else (other, account)), amount=i)
        for i in range(1000)
    ]
    assert bank.create(*batch) == [S.CREATED] * 1000
    rows = get(bank, account)
    assert len(rows) == 1000
    assert numbers(rows[-1]) == bank.balances(account)


@pytest.mark.parametrize(
    "fields",
    INVALID_TIMES
    + [{"limit": 0}, {"flags": AccountFilterFlags.NONE}, {"account_id": 0}]
    + [{"account_id": INT_MAX}, {"flags": BOTH | 8}, {"timestamp_min": TIME_MAX}],
    ids=str,
)
def test_nothing_selected(bank, fields):
    """An invalid filter, or one that lies in the future, finds nothing."""
    account, other = bank.open(AccountFlags.HISTORY), bank.open()
    bank.move(account, other)
    assert len(get(bank, account)) == 1
    assert get(bank, account, **fields) == []


def test_unknown_account(bank):
    """An account that does not exist has no balances."""
    assert get(bank, tb.id()) == []
