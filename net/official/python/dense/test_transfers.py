"""Single-phase transfers: balances, amounts and limits."""

from bank import INT_MAX
from tigerbeetle import AccountFlags
from tigerbeetle import CreateTransferStatus as S


def test_both_sides_move(bank):
    """A transfer debits one account and credits the other by the same amount."""
    debit, credit = bank.pair()
    bank.move(debit, credit, amount=123)
    bank.move(credit, debit, amount=23)
    assert bank.balances(debit) == (0, 123, 0, 23)
    assert bank.balances(credit) == (0, 23, 0, 123)


def test_amount_zero(bank):
    """A transfer of nothing is a transfer."""
    debit, credit = bank.pair()
    transfer = bank.move(debit, credit, amount=0)
    assert bank.balances(debit) == (0, 0, 0, 0)
    assert bank.stored(transfer.id).amount == 0


def test_amounts_have_128_bits(bank):
    """Balances reach the largest number, and not one more."""
    debit, credit = bank.pair()
    bank.move(debit, credit, amount=2**64)
    bank.move(debit, credit, amount=INT_MAX - 2**64)
    assert bank.balances(debit) == (0, INT_MAX, 0, 0)
    assert bank.create(bank.transfer(debit, credit, amount=0)) == [S.CREATED]
    assert bank.create(bank.transfer(debit, credit, amount=1)) == [S.OVERFLOWS_DEBITS_POSTED]


def test_debit_limit(bank):
    """An account with this limit can spend what it was credited, to the last unit."""
    limited = bank.open(AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS)
    other = bank.open()
    bank.move(other, limited, amount=10)
    assert bank.create(
        bank.transfer(limited, other, amount=11),
        bank.transfer(limited, other, amount=10),
        bank.transfer(limited, other, amount=1),
        bank.transfer(limited, other, amount=0),
    ) == [S.EXCEEDS_CREDITS, S.CREATED, S.EXCEEDS_CREDITS, S.CREATED]
    assert bank.balances(limited) == (0, 10, 0, 10)


def test_credit_limit(bank):
    """The same for the other side."""
    limited = bank.open(AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS)
    other = bank.open()
    bank.move(limited, other, amount=10)
    assert bank.create(
        bank.transfer(other, limited, amount=11),
        bank.transfer(other, limited, amount=10),
        bank.transfer(other, limited, amount=1),
        bank.transfer(other, limited, amount=0),
    ) == [S.EXCEEDS_DEBITS, S.CREATED, S.EXCEEDS_DEBITS, S.CREATED]
    assert bank.balances(limited) == (0, 10, 0, 10)


def test_events_of_a_batch_in_order(bank):
    """Money that an event brings can be spent by the next one, not by the one before."""
    limited = bank.open(AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS)
    source, target = bank.pair()
    assert bank.create(
        bank.transfer(limited, target, amount=5),
        bank.transfer(source, limited, amount=5),
        bank.transfer(limited, target, amount=5),
    ) == [S.EXCEEDS_CREDITS, S.CREATED, S.CREATED]


def test_timestamps_of_a_batch(bank):
    """Results are one nanosecond apart, also those of failures."""
    debit, credit = bank.pair()
    batch = [bank.transfer(debit, credit, code=code) for code in (1, 0, 1)]
    results = bank.client.create_transfers(batch)
    first = results[0].timestamp
    assert [r.timestamp for r in results] == [first, first + 1, first + 2]
    assert bank.stored(batch[0].id).timestamp == first
    assert bank.stored(batch[2].id).timestamp == first + 2
