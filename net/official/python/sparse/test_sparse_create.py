"""Creating with the deprecated operations: the answer lists only the events that failed."""

import dataclasses

from sparse_bank import INT_MAX, A, F, S, tb


def test_success_is_an_empty_answer(bank):
    """Nothing failed, nothing is listed."""
    debit, credit = bank.pair()
    assert bank.create(bank.transfer(debit, credit), bank.transfer(debit, credit)) == {}
    assert bank.balances(debit) == (0, 20, 0, 0)
    assert bank.balances(credit) == (0, 0, 0, 20)


def test_failures_carry_their_index(bank):
    """Only failures are listed, by their place in the batch, in order."""
    debit, credit = bank.pair()
    batch = [bank.transfer(debit, credit, amount=1) for _ in range(10)]
    batch[2].code = 0
    batch[3].credit_account_id = tb.id()
    batch[9].ledger = 1
    assert bank.create(*batch) == {
        2: S.CODE_MUST_NOT_BE_ZERO,
        3: S.CREDIT_ACCOUNT_NOT_FOUND,
        9: S.TRANSFER_MUST_HAVE_THE_SAME_LEDGER_AS_ACCOUNTS,
    }
    assert bank.balances(debit) == (0, 7, 0, 0)


def test_account_failures(bank):
    """The same for accounts, with their own codes."""
    existing = bank.account()
    assert bank.create_accounts(existing) == {}
    assert bank.create_accounts(
        existing,
        bank.account(),
        bank.account(id=0),
        bank.account(id=INT_MAX),
        bank.account(ledger=0),
        bank.account(code=0),
        dataclasses.replace(existing, user_data_64=1),
    ) == {
        0: A.EXISTS,
        2: A.ID_MUST_NOT_BE_ZERO,
        3: A.ID_MUST_NOT_BE_INT_MAX,
        4: A.LEDGER_MUST_NOT_BE_ZERO,
        5: A.CODE_MUST_NOT_BE_ZERO,
        6: A.EXISTS_WITH_DIFFERENT_USER_DATA_64,
    }


def test_repeat_is_listed_as_exists(bank):
    """A repeat is not a success here: it is listed with `exists`."""
    debit, credit = bank.pair()
    transfer = bank.transfer(debit, credit)
    assert bank.create(transfer) == {}
    assert bank.create(transfer, dataclasses.replace(transfer, amount=11)) == {
        0: S.EXISTS,
        1: S.EXISTS_WITH_DIFFERENT_AMOUNT,
    }
    assert bank.balances(debit) == (0, 10, 0, 0)


def test_burned_id(bank):
    """A transient failure burns the id: the repeat fails, though the account exists by now.

    Clients of these releases may not know the code, so its number is compared.
    """
    debit, _credit = bank.pair()
    missing = bank.account()
    transfer = bank.transfer(debit, missing.id)
    assert bank.create(transfer) == {0: S.CREDIT_ACCOUNT_NOT_FOUND}
    assert bank.create_accounts(missing) == {}
    assert bank.create(transfer) == {0: 68}


def test_chain(bank):
    """A broken chain lists all its members, the others have code 1."""
    debit, credit = bank.pair()
    batch = [
        bank.transfer(debit, credit, amount=1),
        bank.transfer(debit, credit, amount=2, flags=F.LINKED),
        bank.transfer(debit, credit, amount=4, code=0),
        bank.transfer(debit, credit, amount=8, flags=F.LINKED),
        bank.transfer(debit, credit, amount=16),
        bank.transfer(debit, credit, amount=32, flags=F.LINKED),
    ]
    assert bank.create(*batch) == {
        1: S.LINKED_EVENT_FAILED,
        2: S.CODE_MUST_NOT_BE_ZERO,
        5: S.LINKED_EVENT_CHAIN_OPEN,
    }
    assert bank.balances(debit) == (0, 1 + 8 + 16, 0, 0)


def test_two_phase(bank):
    """Pending, partial post, void, and the codes of a second try."""
    debit, credit = bank.pair()
    first = bank.transfer(debit, credit, amount=10, flags=F.PENDING)
    second = bank.transfer(debit, credit, amount=5, flags=F.PENDING)
    assert bank.create(first, second) == {}
    assert bank.balances(debit) == (15, 0, 0, 0)
    assert (
        bank.create(
            bank.resolve(first, F.POST_PENDING_TRANSFER, 4),
            bank.resolve(second, F.VOID_PENDING_TRANSFER, 0),
        )
        == {}
    )
    assert bank.balances(debit) == (0, 4, 0, 0)
    assert bank.balances(credit) == (0, 0, 0, 4)
    assert bank.create(
        bank.resolve(first, F.VOID_PENDING_TRANSFER, 0),
        bank.resolve(second, F.POST_PENDING_TRANSFER, INT_MAX),
    ) == {0: S.PENDING_TRANSFER_ALREADY_POSTED, 1: S.PENDING_TRANSFER_ALREADY_VOIDED}


def test_largest_amount(bank):
    """Amounts have 128 bits here too."""
    debit, credit = bank.pair()
    assert bank.create(bank.transfer(debit, credit, amount=INT_MAX)) == {}
    assert bank.create(bank.transfer(debit, credit, amount=1)) == {0: S.OVERFLOWS_DEBITS_POSTED}
