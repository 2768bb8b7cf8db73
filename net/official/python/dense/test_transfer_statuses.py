"""Each status that create_transfers can answer, one test a code.

A case is a function that prepares what it needs through the bank and returns the batch to send. The
last event of the batch must get the code, nothing may change by the batch, and afterwards its id
must be burned exactly when the code is a transient one.
"""

import dataclasses

import pytest
import tigerbeetle as tb
from bank import INT_MAX, TRANSIENT
from tigerbeetle import AccountFlags
from tigerbeetle import CreateTransferStatus as S
from tigerbeetle import TransferFlags as F

CASES = {}

UNREACHABLE = {
    # A timeout has 32 bits of seconds, 136 years; the end of time is the year 2262.
    S.OVERFLOWS_TIMEOUT,
}

# Codes with a test of their own below.
OWN_TEST = {S.CREATED}

# One field that is wrong in an otherwise valid transfer between two fresh accounts.
WRONG_FIELD = {
    S.LINKED_EVENT_CHAIN_OPEN: {"flags": F.LINKED},
    S.TIMESTAMP_MUST_BE_ZERO: {"timestamp": 1},
    S.IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE: {"flags": F.IMPORTED, "timestamp": 2**63},
    S.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE: {"flags": F.IMPORTED, "timestamp": 2**63 - 1},
    S.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS: {"flags": F.IMPORTED, "timestamp": 1},
    S.RESERVED_FLAG: {"flags": 1 << 9},
    S.ID_MUST_NOT_BE_ZERO: {"id": 0},
    S.ID_MUST_NOT_BE_INT_MAX: {"id": INT_MAX},
    S.DEBIT_ACCOUNT_ID_MUST_NOT_BE_ZERO: {"debit_account_id": 0},
    S.DEBIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX: {"debit_account_id": INT_MAX},
    S.CREDIT_ACCOUNT_ID_MUST_NOT_BE_ZERO: {"credit_account_id": 0},
    S.CREDIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX: {"credit_account_id": INT_MAX},
    S.PENDING_ID_MUST_BE_ZERO: {"pending_id": 1},
    S.TIMEOUT_RESERVED_FOR_PENDING_TRANSFER: {"timeout": 1},
    S.CLOSING_TRANSFER_MUST_BE_PENDING: {"flags": F.CLOSING_DEBIT},
    S.LEDGER_MUST_NOT_BE_ZERO: {"ledger": 0},
    S.CODE_MUST_NOT_BE_ZERO: {"code": 0},
    S.TRANSFER_MUST_HAVE_THE_SAME_LEDGER_AS_ACCOUNTS: {"ledger": 1},
}

# A post of an existing pending transfer that is wrong in one field.
WRONG_POST = {
    S.FLAGS_ARE_MUTUALLY_EXCLUSIVE: {"flags": F.VOID_PENDING_TRANSFER},
    S.PENDING_ID_MUST_NOT_BE_ZERO: {"pending_id": 0},
    S.PENDING_ID_MUST_NOT_BE_INT_MAX: {"pending_id": INT_MAX},
    S.PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID: {"debit_account_id": 1},
    S.PENDING_TRANSFER_HAS_DIFFERENT_CREDIT_ACCOUNT_ID: {"credit_account_id": 1},
    S.PENDING_TRANSFER_HAS_DIFFERENT_LEDGER: {"ledger": 1},
    S.PENDING_TRANSFER_HAS_DIFFERENT_CODE: {"code": 1},
    S.EXCEEDS_PENDING_TRANSFER_AMOUNT: {"amount": 11},
}

# The transfer exists; what the repeat differs in.
DIFFERENT_FIELD = {
    S.EXISTS: {},
    S.EXISTS_WITH_DIFFERENT_FLAGS: {"flags": F.NONE},
    S.EXISTS_WITH_DIFFERENT_PENDING_ID: {"pending_id": 1},
    S.EXISTS_WITH_DIFFERENT_TIMEOUT: {"timeout": 3601},
    S.EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID: {"debit_account_id": 1},
    S.EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID: {"credit_account_id": 1},
    S.EXISTS_WITH_DIFFERENT_AMOUNT: {"amount": 11},
    S.EXISTS_WITH_DIFFERENT_USER_DATA_128: {"user_data_128": 1},
    S.EXISTS_WITH_DIFFERENT_USER_DATA_64: {"user_data_64": 1},
    S.EXISTS_WITH_DIFFERENT_USER_DATA_32: {"user_data_32": 1},
    S.EXISTS_WITH_DIFFERENT_LEDGER: {"ledger": 1},
    S.EXISTS_WITH_DIFFERENT_CODE: {"code": 1},
}


def case(status):
    """Registers a function as the case of one code."""

    def register(prepare):
        assert status not in CASES
        CASES[status] = prepare
        return prepare

    return register


def register_tables():
    """Turns each row of the tables into a case."""
    for status, fields in WRONG_FIELD.items():
        case(status)(lambda bank, fields=fields: [bank.transfer(*bank.pair(), **fields)])
    for status, fields in WRONG_POST.items():
        case(status)(lambda bank, fields=fields: [bank.post(bank.hold(*bank.pair()), **fields)])
    for status, fields in DIFFERENT_FIELD.items():
        case(status)(lambda bank, fields=fields: [repeated(bank, fields)])


def repeated(bank, fields):
    """A repeat of an existing transfer with some fields changed."""
    transfer = bank.hold(
        *bank.pair(), timeout=3600, user_data_128=5, user_data_64=6, user_data_32=8
    )
    return dataclasses.replace(transfer, **fields)


register_tables()


@case(S.LINKED_EVENT_FAILED)
def linked_event_failed(bank):
    wrong = bank.transfer(*bank.pair(), flags=F.LINKED, code=0)
    return [wrong, bank.transfer(*bank.pair())]


@case(S.IMPORTED_EVENT_EXPECTED)
def imported_event_expected(bank):
    imported = bank.transfer(*bank.pair(), flags=F.IMPORTED, timestamp=0)
    return [imported, bank.transfer(*bank.pair())]


@case(S.IMPORTED_EVENT_NOT_EXPECTED)
def imported_event_not_expected(bank):
    imported = bank.transfer(*bank.pair(), flags=F.IMPORTED, timestamp=1)
    return [bank.transfer(*bank.pair(), code=0), imported]


@case(S.IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_DEBIT_ACCOUNT)
def imported_before_debit_account(bank):
    credit = bank.open()
    timestamp = bank.import_time()
    return [bank.transfer(bank.open(), credit, flags=F.IMPORTED, timestamp=timestamp)]


@case(S.IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_CREDIT_ACCOUNT)
def imported_before_credit_account(bank):
    debit = bank.open()
    timestamp = bank.import_time()
    return [bank.transfer(debit, bank.open(), flags=F.IMPORTED, timestamp=timestamp)]


@case(S.IMPORTED_EVENT_TIMEOUT_MUST_BE_ZERO)
def imported_timeout(bank):
    debit, credit = bank.pair()
    timestamp = bank.import_time()
    return [bank.pending(debit, credit, flags=F.IMPORTED, timestamp=timestamp, timeout=1)]


@case(S.ID_ALREADY_FAILED)
def id_already_failed(bank):
    debit, credit = bank.pair()
    failed = bank.transfer(debit, tb.id())
    assert bank.create(failed) == [S.CREDIT_ACCOUNT_NOT_FOUND]
    return [bank.transfer(debit, credit, id=failed.id)]


@case(S.ACCOUNTS_MUST_BE_DIFFERENT)
def accounts_must_be_different(bank):
    account = bank.open()
    return [bank.transfer(account, account)]


@case(S.DEBIT_ACCOUNT_NOT_FOUND)
def debit_account_not_found(bank):
    return [bank.transfer(tb.id(), bank.open())]


@case(S.CREDIT_ACCOUNT_NOT_FOUND)
def credit_account_not_found(bank):
    return [bank.transfer(bank.open(), tb.id())]


@case(S.ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER)
def accounts_must_have_the_same_ledger(bank):
    return [bank.transfer(bank.open(), bank.open(ledger=bank.ledger ^ 3))]


@case(S.PENDING_ID_MUST_BE_DIFFERENT)
def pending_id_must_be_different(bank):
    own_id = tb.id()
    return [tb.Transfer(id=own_id, pending_id=own_id, flags=F.POST_PENDING_TRANSFER)]


@case(S.PENDING_TRANSFER_NOT_FOUND)
def pending_transfer_not_found(bank):
    return [bank.post(bank.transfer(*bank.pair()))]


@case(S.PENDING_TRANSFER_NOT_PENDING)
def pending_transfer_not_pending(bank):
    return [bank.post(bank.move(*bank.pair()))]


@case(S.PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT)
def pending_transfer_has_different_amount(bank):
    return [bank.void(bank.hold(*bank.pair(), amount=10), amount=9)]


@case(S.PENDING_TRANSFER_ALREADY_POSTED)
def pending_transfer_already_posted(bank):
    pending = bank.hold(*bank.pair())
    assert bank.create(bank.post(pending)) == [S.CREATED]
    return [bank.post(pending)]


@case(S.PENDING_TRANSFER_ALREADY_VOIDED)
def pending_transfer_already_voided(bank):
    pending = bank.hold(*bank.pair())
    assert bank.create(bank.void(pending)) == [S.CREATED]
    return [bank.post(pending)]


@case(S.PENDING_TRANSFER_EXPIRED)
def pending_transfer_expired(bank):
    pending = bank.hold(*bank.pair(), timeout=1)
    bank.wait_expired(pending)
    return [bank.post(pending)]


@case(S.DEBIT_ACCOUNT_ALREADY_CLOSED)
def debit_account_already_closed(bank):
    debit, credit = bank.pair()
    bank.close(debit)
    return [bank.transfer(debit, credit)]


@case(S.CREDIT_ACCOUNT_ALREADY_CLOSED)
def credit_account_already_closed(bank):
    debit, credit = bank.pair()
    bank.close(credit)
    return [bank.transfer(debit, credit)]


@case(S.OVERFLOWS_DEBITS_PENDING)
def overflows_debits_pending(bank):
    debit = bank.open()
    bank.hold(debit, bank.open(), amount=INT_MAX)
    return [bank.pending(debit, bank.open(), amount=1)]


@case(S.OVERFLOWS_CREDITS_PENDING)
def overflows_credits_pending(bank):
    credit = bank.open()
    bank.hold(bank.open(), credit, amount=INT_MAX)
    return [bank.pending(bank.open(), credit, amount=1)]


@case(S.OVERFLOWS_DEBITS_POSTED)
def overflows_debits_posted(bank):
    debit = bank.open()
    bank.move(debit, bank.open(), amount=INT_MAX)
    return [bank.transfer(debit, bank.open(), amount=1)]


@case(S.OVERFLOWS_CREDITS_POSTED)
def overflows_credits_posted(bank):
    credit = bank.open()
    bank.move(bank.open(), credit, amount=INT_MAX)
    return [bank.transfer(bank.open(), credit, amount=1)]


@case(S.OVERFLOWS_DEBITS)
def overflows_debits(bank):
    debit = bank.open()
    bank.hold(debit, bank.open(), amount=2**127)
    bank.move(debit, bank.open(), amount=2**127 - 1)
    return [bank.transfer(debit, bank.open(), amount=1)]


@case(S.OVERFLOWS_CREDITS)
def overflows_credits(bank):
    credit = bank.open()
    bank.hold(bank.open(), credit, amount=2**127)
    bank.move(bank.open(), credit, amount=2**127 - 1)
    return [bank.transfer(bank.open(), credit, amount=1)]


@case(S.EXCEEDS_CREDITS)
def exceeds_credits(bank):
    debit = bank.open(AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS)
    bank.move(bank.open(), debit, amount=9)
    return [bank.transfer(debit, bank.open(), amount=10)]


@case(S.EXCEEDS_DEBITS)
def exceeds_debits(bank):
    credit = bank.open(AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS)
    bank.move(credit, bank.open(), amount=9)
    return [bank.transfer(bank.open(), credit, amount=10)]


def test_every_code_has_a_test():
    """Every code that the client knows has a case, or a reason why it has none."""
    assert set(S) == set(CASES) | UNREACHABLE | OWN_TEST


@pytest.mark.parametrize("status", CASES, ids=lambda s: f"{s.value}-{s.name.lower()}")
def test_status(bank, status):
    """The last event of the case's batch gets the code, and nothing changes by it."""
    batch = CASES[status](bank)
    before = bank.snapshot()
    stored_before = bank.stored(batch[-1].id)
    assert bank.create(*batch)[-1] == status
    assert bank.snapshot() == before
    assert bank.stored(batch[-1].id) == stored_before
    if stored_before is None and batch[-1].id not in (0, INT_MAX):
        retry = bank.transfer(*bank.pair(), id=batch[-1].id)
        burned = status in TRANSIENT or status == S.ID_ALREADY_FAILED
        assert bank.create(retry) == [S.ID_ALREADY_FAILED if burned else S.CREATED]


def test_created(bank):
    """A valid transfer is stored with all its fields, and the result has its timestamp."""
    debit, credit = bank.pair()
    transfer = bank.transfer(
        debit,
        credit,
        amount=INT_MAX,
        user_data_128=INT_MAX,
        user_data_64=2**64 - 1,
        user_data_32=2**32 - 1,
        code=2**16 - 1,
    )
    [result] = bank.client.create_transfers([transfer])
    assert result.status == S.CREATED
    transfer.timestamp = result.timestamp
    assert bank.stored(transfer.id) == transfer
    assert bank.balances(debit) == (0, INT_MAX, 0, 0)
    assert bank.balances(credit) == (0, 0, 0, INT_MAX)
