"""Each status that create_accounts can answer, one test a code."""

import ctypes
import dataclasses

import pytest
import tigerbeetle as tb
from bank import INT_MAX, NS_PER_S
from tigerbeetle import AccountFlags, bindings
from tigerbeetle import CreateAccountStatus as S

# One field that is wrong in an otherwise valid account.
WRONG_FIELD = {
    S.TIMESTAMP_MUST_BE_ZERO: {"timestamp": 1},
    S.RESERVED_FLAG: {"flags": 1 << 6},
    S.ID_MUST_NOT_BE_ZERO: {"id": 0},
    S.ID_MUST_NOT_BE_INT_MAX: {"id": INT_MAX},
    S.FLAGS_ARE_MUTUALLY_EXCLUSIVE: {
        "flags": AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS
        | AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS
    },
    S.DEBITS_PENDING_MUST_BE_ZERO: {"debits_pending": 1},
    S.DEBITS_POSTED_MUST_BE_ZERO: {"debits_posted": 1},
    S.CREDITS_PENDING_MUST_BE_ZERO: {"credits_pending": 1},
    S.CREDITS_POSTED_MUST_BE_ZERO: {"credits_posted": INT_MAX},
    S.LEDGER_MUST_NOT_BE_ZERO: {"ledger": 0},
    S.CODE_MUST_NOT_BE_ZERO: {"code": 0},
    S.LINKED_EVENT_CHAIN_OPEN: {"flags": AccountFlags.LINKED},
    S.IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE: {"flags": AccountFlags.IMPORTED, "timestamp": 0},
    S.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE: {
        "flags": AccountFlags.IMPORTED,
        "timestamp": 2**63 - 1,
    },
    S.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS: {
        "flags": AccountFlags.IMPORTED,
        "timestamp": 1,
    },
}

# The account exists with other contents: what the repeat differs in.
DIFFERENT_FIELD = {
    S.EXISTS: {},
    S.EXISTS_WITH_DIFFERENT_FLAGS: {"flags": AccountFlags.HISTORY},
    S.EXISTS_WITH_DIFFERENT_USER_DATA_128: {"user_data_128": 1},
    S.EXISTS_WITH_DIFFERENT_USER_DATA_64: {"user_data_64": 1},
    S.EXISTS_WITH_DIFFERENT_USER_DATA_32: {"user_data_32": 1},
    S.EXISTS_WITH_DIFFERENT_LEDGER: {"ledger": 1},
    S.EXISTS_WITH_DIFFERENT_CODE: {"code": 1},
}

# Codes with a test of their own below.
OWN_TEST = {
    S.CREATED,
    S.RESERVED_FIELD,
    S.LINKED_EVENT_FAILED,
    S.IMPORTED_EVENT_EXPECTED,
    S.IMPORTED_EVENT_NOT_EXPECTED,
}


def test_every_code_has_a_test():
    """The tables and the tests below cover every code that the client knows."""
    assert set(S) == set(WRONG_FIELD) | set(DIFFERENT_FIELD) | OWN_TEST


@pytest.mark.parametrize("status", WRONG_FIELD, ids=lambda s: f"{s.value}-{s.name.lower()}")
def test_wrong_field(bank, status):
    """A wrong field gets its code, nothing is stored, and the id stays usable."""
    account = bank.account(**WRONG_FIELD[status])
    assert bank.create_accounts(account) == [status]
    assert bank.client.lookup_accounts([account.id]) == []
    if account.id not in (0, INT_MAX):
        assert bank.create_accounts(bank.account(id=account.id)) == [S.CREATED]


@pytest.mark.parametrize("status", DIFFERENT_FIELD, ids=lambda s: f"{s.value}-{s.name.lower()}")
def test_existing_account(bank, status):
    """A repeat is compared field by field and changes nothing."""
    account = bank.account(ledger=bank.ledger, user_data_128=5, user_data_64=6, user_data_32=8)
    [created] = bank.client.create_accounts([account])
    before = bank.lookup(account.id)
    repeat = dataclasses.replace(account, **DIFFERENT_FIELD[status])
    [again] = bank.client.create_accounts([repeat])
    assert again.status == status
    assert (again.timestamp == created.timestamp) == (status == S.EXISTS)
    assert bank.lookup(account.id) == before


def test_created(bank):
    """A valid account is created with all its fields, and the result has its timestamp."""
    account = bank.account(user_data_128=INT_MAX, user_data_64=2**64 - 1, user_data_32=2**32 - 1)
    [result] = bank.client.create_accounts([account])
    assert result.status == S.CREATED
    account.timestamp = result.timestamp
    assert bank.lookup(account.id) == account


def test_reserved_field(bank):
    """The reserved bytes must be zero. The API has no such field, so the bytes are set here."""

    class WithReserved(ctypes.Structure):
        _fields_ = bindings.CAccount._fields_

        @classmethod
        def from_param(cls, account):
            filled = cls.from_buffer_copy(bytes(bindings.CAccount.from_param(account)))
            filled.reserved = 1
            return filled

    account = bank.account()
    [result] = bank.client._submit(
        bindings.Operation.CREATE_ACCOUNTS, [account], WithReserved, bindings.CCreateAccountResult
    )
    assert result.status == S.RESERVED_FIELD
    assert bank.client.lookup_accounts([account.id]) == []


def test_linked_event_failed(bank):
    """One member of a chain fails: it has its own code, the others have this one."""
    first = bank.account(flags=AccountFlags.LINKED)
    wrong = bank.account(flags=AccountFlags.LINKED, code=0)
    last = bank.account()
    assert bank.create_accounts(first, wrong, last) == [
        S.LINKED_EVENT_FAILED,
        S.CODE_MUST_NOT_BE_ZERO,
        S.LINKED_EVENT_FAILED,
    ]
    assert bank.client.lookup_accounts([first.id, wrong.id, last.id]) == []


def test_imported_event_expected(bank):
    """A batch whose first event is imported takes only imported events."""
    imported = bank.account(flags=AccountFlags.IMPORTED)
    assert bank.create_accounts(imported, bank.account()) == [
        S.IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE,
        S.IMPORTED_EVENT_EXPECTED,
    ]


def test_imported_event_not_expected(bank):
    """A batch whose first event is not imported takes no imported event."""
    imported = bank.account(flags=AccountFlags.IMPORTED, timestamp=NS_PER_S)
    assert bank.create_accounts(bank.account(code=0), imported) == [
        S.CODE_MUST_NOT_BE_ZERO,
        S.IMPORTED_EVENT_NOT_EXPECTED,
    ]


def test_ladder_of_checks(bank):
    """Of several mistakes the first in the order of checks is told.

    The account begins with every mistake at once; each step mends the one that was told.
    """
    both_limits = WRONG_FIELD[S.FLAGS_ARE_MUTUALLY_EXCLUSIVE]["flags"]
    fields = {
        "id": 0,
        "debits_pending": 1,
        "debits_posted": 1,
        "credits_pending": 1,
        "credits_posted": 1,
        "ledger": 0,
        "code": 0,
        "flags": AccountFlags.LINKED | AccountFlags.IMPORTED | both_limits | 1 << 6,
    }
    steps = [
        (S.LINKED_EVENT_CHAIN_OPEN, {"flags": AccountFlags.IMPORTED | both_limits | 1 << 6}),
        (S.IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE, {"timestamp": 2**63 - 1}),
        (S.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE, {"flags": both_limits | 1 << 6}),
        (S.TIMESTAMP_MUST_BE_ZERO, {"timestamp": 0}),
        (S.RESERVED_FLAG, {"flags": both_limits}),
        (S.ID_MUST_NOT_BE_ZERO, {"id": INT_MAX}),
        (S.ID_MUST_NOT_BE_INT_MAX, {"id": tb.id()}),
        (S.FLAGS_ARE_MUTUALLY_EXCLUSIVE, {"flags": AccountFlags.NONE}),
        (S.DEBITS_PENDING_MUST_BE_ZERO, {"debits_pending": 0}),
        (S.DEBITS_POSTED_MUST_BE_ZERO, {"debits_posted": 0}),
        (S.CREDITS_PENDING_MUST_BE_ZERO, {"credits_pending": 0}),
        (S.CREDITS_POSTED_MUST_BE_ZERO, {"credits_posted": 0}),
        (S.LEDGER_MUST_NOT_BE_ZERO, {"ledger": bank.ledger}),
        (S.CODE_MUST_NOT_BE_ZERO, {"code": 1}),
        (S.CREATED, {}),
    ]
    for status, mended in steps:
        assert bank.create_accounts(tb.Account(**fields)) == [status]
        fields |= mended
