"""Accounts: what is stored, time, and what a batch of them answers."""

import time

from bank import INT_MAX, NS_PER_S
from tigerbeetle import AccountFlags
from tigerbeetle import CreateAccountStatus as S


def test_every_flag_is_stored(bank):
    """Each flag that an account may be created with is stored as given."""
    for flags in [
        AccountFlags.NONE,
        AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS,
        AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS,
        AccountFlags.HISTORY,
        AccountFlags.CLOSED,
        AccountFlags.HISTORY | AccountFlags.CLOSED,
    ]:
        assert bank.lookup(bank.open(flags)).flags == flags


def test_smallest_and_largest_fields(bank):
    """Ids, ledgers and codes may be anything but zero (and the largest id)."""
    # The lowest ids may be taken on a used server: both answers show that the id is allowed.
    [low] = bank.create_accounts(bank.account(id=1, ledger=1, code=1))
    assert low in (S.CREATED, S.EXISTS)
    [high] = bank.create_accounts(bank.account(id=INT_MAX - 1, ledger=2**32 - 1, code=2**16 - 1))
    assert high in (S.CREATED, S.EXISTS)


def test_timestamps_of_a_batch(bank):
    """The events of a batch are one nanosecond apart and near the wall clock."""
    before = time.time_ns()
    accounts = [bank.account(code=code) for code in (1, 0, 1, 1)]
    results = bank.client.create_accounts(accounts)
    after = time.time_ns()
    times = [result.timestamp for result in results]
    assert times == [times[0] + i for i in range(4)]
    assert before - NS_PER_S < times[0] < after + NS_PER_S
    stored = bank.client.lookup_accounts([account.id for account in accounts])
    assert [a.timestamp for a in stored] == [times[0], times[2], times[3]]


def test_timestamps_rise(bank):
    """A later message has a later timestamp, whatever the operation."""
    last = 0
    for _ in range(50):
        [result] = bank.client.create_accounts([bank.account()])
        assert result.timestamp > last
        [failed] = bank.client.create_transfers([bank.transfer()])
        assert failed.timestamp > result.timestamp
        last = failed.timestamp


def test_same_id_twice_in_a_batch(bank):
    """The second is a repeat of the first."""
    account = bank.account()
    first, second = bank.client.create_accounts([account, account])
    assert [first.status, second.status] == [S.CREATED, S.EXISTS]
    assert second.timestamp == first.timestamp


def test_repeat_does_not_look_at_balances(bank):
    """Balances in a repeat are not compared, and not taken."""
    account = bank.account()
    assert bank.create_accounts(account) == [S.CREATED]
    assert bank.create_accounts(bank.account(id=account.id, debits_posted=5)) == [S.EXISTS]
    assert bank.balances(account.id) == (0, 0, 0, 0)


def test_repeat_after_transfers(bank):
    """An account that has moved money is still the same account."""
    account = bank.account()
    assert bank.create_accounts(account) == [S.CREATED]
    bank.move(account.id, bank.open())
    assert bank.create_accounts(account) == [S.EXISTS]


def test_account_and_transfer_may_have_the_same_id(bank):
    """Accounts and transfers have separate ids."""
    debit, credit = bank.pair()
    bank.move(debit, credit, id=debit)
    assert bank.stored(debit).debit_account_id == debit
    assert bank.lookup(debit).debits_posted == 10
