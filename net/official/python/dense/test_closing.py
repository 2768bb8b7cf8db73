"""Closed accounts take no transfers until they are opened again."""

from tigerbeetle import AccountFlags, CreateAccountStatus
from tigerbeetle import CreateTransferStatus as S
from tigerbeetle import TransferFlags as F


def test_closing_and_opening(bank):
    """A pending closing transfer closes at once; its void opens again."""
    debit, credit = bank.pair()
    close = bank.hold(debit, credit, flags=F.CLOSING_DEBIT)
    assert bank.lookup(debit).flags == AccountFlags.CLOSED
    assert bank.lookup(credit).flags == AccountFlags.NONE
    assert bank.create(bank.transfer(debit, credit)) == [S.DEBIT_ACCOUNT_ALREADY_CLOSED]
    assert bank.create(bank.transfer(credit, debit)) == [S.CREDIT_ACCOUNT_ALREADY_CLOSED]
    assert bank.create(bank.void(close)) == [S.CREATED]
    assert bank.lookup(debit).flags == AccountFlags.NONE
    assert bank.create(bank.transfer(debit, credit)) == [S.CREATED]


def test_closing_both_sides(bank):
    """One transfer may close both accounts; the void opens both."""
    debit, credit = bank.pair()
    close = bank.hold(debit, credit, flags=F.CLOSING_DEBIT | F.CLOSING_CREDIT)
    assert [a.flags for a in bank.client.lookup_accounts([debit, credit])] == [
        AccountFlags.CLOSED
    ] * 2
    assert bank.create(bank.transfer(debit, credit)) == [S.DEBIT_ACCOUNT_ALREADY_CLOSED]
    assert bank.create(bank.void(close)) == [S.CREATED]
    assert [a.flags for a in bank.client.lookup_accounts([debit, credit])] == [
        AccountFlags.NONE
    ] * 2


def test_closing_transfer_can_not_be_posted(bank):
    """A post of the closing transfer meets the account that it closed."""
    debit, credit = bank.pair()
    closes_debit = bank.hold(debit, bank.open(), flags=F.CLOSING_DEBIT)
    closes_credit = bank.hold(bank.open(), credit, flags=F.CLOSING_CREDIT)
    assert bank.create(bank.post(closes_debit), bank.post(closes_credit)) == [
        S.DEBIT_ACCOUNT_ALREADY_CLOSED,
        S.CREDIT_ACCOUNT_ALREADY_CLOSED,
    ]


def test_older_pending_transfers(bank):
    """Of older pending transfers a closed account takes the void and refuses the post."""
    debit, credit = bank.pair()
    to_post = bank.hold(debit, credit, amount=1)
    to_void = bank.hold(debit, credit, amount=2)
    close = bank.hold(debit, bank.open(), amount=0, flags=F.CLOSING_DEBIT)
    assert bank.create(bank.post(to_post), bank.void(to_void)) == [
        S.DEBIT_ACCOUNT_ALREADY_CLOSED,
        S.CREATED,
    ]
    assert bank.create(bank.void(close), bank.post(to_post)) == [S.CREATED, S.CREATED]
    assert bank.balances(debit) == (0, 1, 0, 0)


def test_closing_twice(bank):
    """A closed account cannot be closed again: that would be a transfer."""
    debit = bank.open()
    bank.close(debit)
    assert bank.create(bank.pending(debit, bank.open(), amount=0, flags=F.CLOSING_DEBIT)) == [
        S.DEBIT_ACCOUNT_ALREADY_CLOSED
    ]


def test_created_closed(bank):
    """An account may be created closed."""
    debit = bank.open(AccountFlags.CLOSED)
    assert bank.create(bank.transfer(debit, bank.open())) == [S.DEBIT_ACCOUNT_ALREADY_CLOSED]


def test_repeat_of_a_closed_account(bank):
    """Creating an account again is compared with its flags of now."""
    account = bank.account()
    assert bank.create_accounts(account) == [CreateAccountStatus.CREATED]
    bank.close(account.id)
    assert bank.create_accounts(account) == [CreateAccountStatus.EXISTS_WITH_DIFFERENT_FLAGS]


def test_closing_with_the_whole_balance(bank):
    """Closing and balancing together reserve everything that is left."""
    debit, credit = bank.pair()
    bank.move(credit, debit, amount=42)
    bank.hold(debit, credit, amount=2**128 - 1, flags=F.CLOSING_DEBIT | F.BALANCING_DEBIT)
    assert bank.balances(debit) == (42, 0, 0, 42)
    assert bank.lookup(debit).flags == AccountFlags.CLOSED
