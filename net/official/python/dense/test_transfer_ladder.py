"""The order of the checks: of several mistakes, the first in this order is told.

Each ladder begins with a transfer that has every mistake at once; each step mends the one that was
told. Steps whose code burns the id also take a new id.
"""

import dataclasses

import tigerbeetle as tb
from bank import INT_MAX, TRANSIENT
from tigerbeetle import AccountFlags
from tigerbeetle import CreateTransferStatus as S
from tigerbeetle import TransferFlags as F

RESERVED = 1 << 9


def climb(bank, transfer, steps):
    """Sends the transfer once a step, expects the step's code, then mends it."""
    for status, mended in steps:
        assert bank.create(transfer) == [status]
        if status in TRANSIENT:
            mended = {"id": tb.id()} | mended
        transfer = dataclasses.replace(transfer, **mended)


def test_form_of_a_single_phase_transfer(bank):
    """Checks that need no look-up, then accounts and ledgers."""
    debit, credit = bank.pair()
    other_ledger = bank.open(ledger=bank.ledger ^ 3)
    closing = F.CLOSING_CREDIT
    transfer = tb.Transfer(
        pending_id=1, timeout=1, timestamp=2**63, flags=F.LINKED | F.IMPORTED | closing | RESERVED
    )
    climb(
        bank,
        transfer,
        [
            (S.LINKED_EVENT_CHAIN_OPEN, {"flags": F.IMPORTED | closing | RESERVED}),
            (S.IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE, {"timestamp": 2**63 - 1}),
            (S.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE, {"flags": closing | RESERVED}),
            (S.TIMESTAMP_MUST_BE_ZERO, {"timestamp": 0}),
            (S.RESERVED_FLAG, {"flags": closing}),
            (S.ID_MUST_NOT_BE_ZERO, {"id": INT_MAX}),
            (S.ID_MUST_NOT_BE_INT_MAX, {"id": tb.id()}),
            (S.DEBIT_ACCOUNT_ID_MUST_NOT_BE_ZERO, {"debit_account_id": INT_MAX}),
            (S.DEBIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX, {"debit_account_id": tb.id()}),
            (S.CREDIT_ACCOUNT_ID_MUST_NOT_BE_ZERO, {"credit_account_id": INT_MAX}),
            (S.CREDIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX, {"credit_account_id": tb.id()}),
            (S.PENDING_ID_MUST_BE_ZERO, {"pending_id": 0}),
            (S.TIMEOUT_RESERVED_FOR_PENDING_TRANSFER, {"timeout": 0}),
            (S.CLOSING_TRANSFER_MUST_BE_PENDING, {"flags": F.NONE}),
            (S.LEDGER_MUST_NOT_BE_ZERO, {"ledger": 1}),
            (S.CODE_MUST_NOT_BE_ZERO, {"code": 1}),
            (S.DEBIT_ACCOUNT_NOT_FOUND, {"debit_account_id": debit}),
            (S.CREDIT_ACCOUNT_NOT_FOUND, {"credit_account_id": other_ledger}),
            (S.ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER, {"credit_account_id": credit}),
            (S.TRANSFER_MUST_HAVE_THE_SAME_LEDGER_AS_ACCOUNTS, {"ledger": bank.ledger}),
            (S.CREATED, {}),
            (S.EXISTS, {}),
        ],
    )


def test_accounts_must_be_different_comes_before_pending_id(bank):
    """Equal account ids are told before what is wrong behind them."""
    account = bank.open()
    transfer = bank.transfer(account, account, pending_id=1)
    assert bank.create(transfer) == [S.ACCOUNTS_MUST_BE_DIFFERENT]


def test_balances_of_a_pending_transfer(bank):
    """Closed accounts, then overflows, then limits.

    The closed state comes from voidable holds, so that each step can open the account again.
    """
    limited = AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS
    debit = bank.open(limited)
    credit = bank.open(AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS)
    bank.move(bank.open(), debit, amount=10)
    bank.move(credit, bank.open(), amount=10)
    bank.hold(debit, bank.open(), amount=5)
    bank.hold(bank.open(), credit, amount=5)
    closes = [
        bank.hold(debit, bank.open(), amount=0, flags=F.CLOSING_DEBIT),
        bank.hold(bank.open(), credit, amount=0, flags=F.CLOSING_CREDIT),
    ]
    transfer = bank.pending(debit, credit, amount=INT_MAX)
    for status, close in zip(
        [S.DEBIT_ACCOUNT_ALREADY_CLOSED, S.CREDIT_ACCOUNT_ALREADY_CLOSED], closes
    ):
        assert bank.create(dataclasses.replace(transfer, id=tb.id())) == [status]
        assert bank.create(bank.void(close)) == [S.CREATED]
    climb(
        bank,
        transfer,
        [
            (S.OVERFLOWS_DEBITS_PENDING, {"amount": 6}),
            (S.EXCEEDS_CREDITS, {"debit_account_id": bank.open()}),
            (S.EXCEEDS_DEBITS, {"amount": 5}),
            (S.CREATED, {}),
        ],
    )


def test_order_of_overflows(bank):
    """Pending before posted, debit side before credit side, the sums last."""
    debit, credit = bank.pair()
    bank.hold(debit, credit, amount=2**127)
    bank.move(debit, credit, amount=2**127 - 1)
    fresh_debit = bank.open()
    transfer = bank.pending(debit, credit, amount=2**128 - 1)
    climb(
        bank,
        transfer,
        [
            (S.OVERFLOWS_DEBITS_PENDING, {"debit_account_id": fresh_debit}),
            (S.OVERFLOWS_CREDITS_PENDING, {"debit_account_id": debit, "flags": F.NONE}),
            (S.OVERFLOWS_DEBITS_POSTED, {"debit_account_id": fresh_debit}),
            (S.OVERFLOWS_CREDITS_POSTED, {"debit_account_id": debit, "amount": 1}),
            (S.OVERFLOWS_DEBITS, {"debit_account_id": fresh_debit}),
            (S.OVERFLOWS_CREDITS, {"credit_account_id": bank.open()}),
            (S.CREATED, {}),
        ],
    )


def test_imported_times(bank):
    """Regression, debit account, credit account, timeout, and only then the closed account."""
    early_debit, early_credit = bank.pair()
    before = bank.import_time()
    late_debit, late_credit = bank.pair()
    closing = bank.pending(early_debit, early_credit, amount=0, flags=F.CLOSING_DEBIT)
    transfer = bank.pending(
        late_debit, late_credit, flags=F.IMPORTED, timestamp=before - 10**9, timeout=1
    )
    climb(
        bank,
        transfer,
        [
            (S.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS, {"timestamp": before}),
            (
                S.IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_DEBIT_ACCOUNT,
                {"debit_account_id": early_debit},
            ),
            (
                S.IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_CREDIT_ACCOUNT,
                {"credit_account_id": early_credit},
            ),
            (S.IMPORTED_EVENT_TIMEOUT_MUST_BE_ZERO, {}),
        ],
    )
    assert bank.create(closing) == [S.CREATED]
    later = bank.import_time()
    climb(
        bank,
        dataclasses.replace(
            transfer, debit_account_id=early_debit, credit_account_id=early_credit, timestamp=later
        ),
        [
            (S.IMPORTED_EVENT_TIMEOUT_MUST_BE_ZERO, {"timeout": 0}),
            (S.DEBIT_ACCOUNT_ALREADY_CLOSED, {}),
        ],
    )


def test_post_and_void(bank):
    """The checks of a post or void."""
    pending = bank.hold(*bank.pair(), amount=10)
    plain = bank.move(*bank.pair())
    own_id = tb.id()
    transfer = tb.Transfer(
        id=own_id,
        debit_account_id=1,
        credit_account_id=1,
        amount=11,
        timeout=1,
        ledger=1,
        code=1,
        flags=F.POST_PENDING_TRANSFER | F.BALANCING_DEBIT,
    )
    climb(
        bank,
        transfer,
        [
            (S.FLAGS_ARE_MUTUALLY_EXCLUSIVE, {"flags": F.VOID_PENDING_TRANSFER}),
            (S.PENDING_ID_MUST_NOT_BE_ZERO, {"pending_id": INT_MAX}),
            (S.PENDING_ID_MUST_NOT_BE_INT_MAX, {"pending_id": own_id}),
            (S.PENDING_ID_MUST_BE_DIFFERENT, {"pending_id": tb.id()}),
            (S.TIMEOUT_RESERVED_FOR_PENDING_TRANSFER, {"timeout": 0}),
            (S.PENDING_TRANSFER_NOT_FOUND, {"pending_id": plain.id}),
            (S.PENDING_TRANSFER_NOT_PENDING, {"pending_id": pending.id}),
            (S.PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID, {"debit_account_id": 0}),
            (S.PENDING_TRANSFER_HAS_DIFFERENT_CREDIT_ACCOUNT_ID, {"credit_account_id": 0}),
            (S.PENDING_TRANSFER_HAS_DIFFERENT_LEDGER, {"ledger": 0}),
            (S.PENDING_TRANSFER_HAS_DIFFERENT_CODE, {"code": 0}),
            (S.EXCEEDS_PENDING_TRANSFER_AMOUNT, {"amount": 9}),
            (S.PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT, {"amount": 10}),
            (S.CREATED, {}),
            (S.EXISTS, {"id": tb.id()}),
            (S.PENDING_TRANSFER_ALREADY_VOIDED, {}),
        ],
    )


def test_every_flag_that_excludes_post_and_void(bank):
    """Neither of the two goes with the other, nor with pending, balancing or closing."""
    pending = bank.hold(*bank.pair())
    others = [F.PENDING, F.BALANCING_DEBIT, F.BALANCING_CREDIT, F.CLOSING_DEBIT, F.CLOSING_CREDIT]
    batch = [bank.post(pending, flags=F.VOID_PENDING_TRANSFER)]
    batch += [bank.post(pending, flags=flag) for flag in others]
    batch += [bank.void(pending, flags=flag) for flag in others]
    assert bank.create(*batch) == [S.FLAGS_ARE_MUTUALLY_EXCLUSIVE] * 11


def test_existing_transfer(bank):
    """The comparison of a repeat goes through the fields in one order."""
    debit, credit = bank.pair()
    stored = bank.hold(
        debit, credit, timeout=3600, amount=10, user_data_128=1, user_data_64=1, user_data_32=1
    )
    transfer = tb.Transfer(
        id=stored.id, debit_account_id=1, credit_account_id=1, amount=11, pending_id=1, timeout=1
    )
    climb(
        bank,
        transfer,
        [
            (S.EXISTS_WITH_DIFFERENT_FLAGS, {"flags": F.PENDING}),
            (S.EXISTS_WITH_DIFFERENT_PENDING_ID, {"pending_id": 0}),
            (S.EXISTS_WITH_DIFFERENT_TIMEOUT, {"timeout": 3600}),
            (S.EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID, {"debit_account_id": debit}),
            (S.EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID, {"credit_account_id": credit}),
            (S.EXISTS_WITH_DIFFERENT_AMOUNT, {"amount": 10}),
            (S.EXISTS_WITH_DIFFERENT_USER_DATA_128, {"user_data_128": 1}),
            (S.EXISTS_WITH_DIFFERENT_USER_DATA_64, {"user_data_64": 1}),
            (S.EXISTS_WITH_DIFFERENT_USER_DATA_32, {"user_data_32": 1}),
            (S.EXISTS_WITH_DIFFERENT_LEDGER, {"ledger": bank.ledger}),
            (S.EXISTS_WITH_DIFFERENT_CODE, {"code": stored.code}),
            (S.EXISTS, {}),
        ],
    )
