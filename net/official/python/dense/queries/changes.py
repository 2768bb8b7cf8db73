"""Change events through the official client: its native part has the operation, Python has no call.

So the records are laid out here, and handed to the client's own way of sending a request.
"""

import ctypes
from types import SimpleNamespace

from tigerbeetle import bindings

CHANGES_MAX = 2730

SINGLE_PHASE, PENDING, POSTED, VOIDED, EXPIRED = range(5)


class U128(ctypes.Structure):
    """16 bytes, the low half first."""

    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]

    def to_python(self):
        return self.low | self.high << 64


def plain(structure):
    """A structure as an object whose fields are Python's integers."""
    fields = SimpleNamespace()
    for name, kind in structure._fields_:
        value = getattr(structure, name)
        if issubclass(kind, U128):
            value = value.to_python()
        elif issubclass(kind, ctypes.Structure):
            value = plain(value)
        elif issubclass(kind, ctypes.Array):
            value = bytes(value)
        setattr(fields, name, value)
    return fields


class Filter(ctypes.Structure):
    """64 bytes."""

    _fields_ = [
        ("timestamp_min", ctypes.c_uint64),
        ("timestamp_max", ctypes.c_uint64),
        ("limit", ctypes.c_uint32),
        ("reserved", ctypes.c_uint8 * 44),
    ]

    @classmethod
    def from_param(cls, fields):
        return cls(**fields)


class ChangedAccount(ctypes.Structure):
    """112 bytes."""

    _fields_ = [
        ("id", U128),
        ("debits_pending", U128),
        ("debits_posted", U128),
        ("credits_pending", U128),
        ("credits_posted", U128),
        ("user_data_128", U128),
        ("user_data_64", ctypes.c_uint64),
        ("user_data_32", ctypes.c_uint32),
        ("code", ctypes.c_uint16),
        ("flags", ctypes.c_uint16),
    ]


class Event(ctypes.Structure):
    """384 bytes."""

    _fields_ = [
        ("transfer_id", U128),
        ("transfer_amount", U128),
        ("transfer_pending_id", U128),
        ("transfer_user_data_128", U128),
        ("transfer_user_data_64", ctypes.c_uint64),
        ("transfer_user_data_32", ctypes.c_uint32),
        ("transfer_timeout", ctypes.c_uint32),
        ("transfer_code", ctypes.c_uint16),
        ("transfer_flags", ctypes.c_uint16),
        ("ledger", ctypes.c_uint32),
        ("type", ctypes.c_uint8),
        ("reserved", ctypes.c_uint8 * 39),
        ("debit", ChangedAccount),
        ("credit", ChangedAccount),
        ("timestamp", ctypes.c_uint64),
        ("transfer_timestamp", ctypes.c_uint64),
        ("debit_timestamp", ctypes.c_uint64),
        ("credit_timestamp", ctypes.c_uint64),
    ]

    def to_python(self):
        return plain(self)


assert ctypes.sizeof(Filter) == 64
assert ctypes.sizeof(Event) == 384


def changes(bank, **fields):
    """One request; the events."""
    defaults = {"limit": CHANGES_MAX}
    operation = bindings.Operation.GET_CHANGE_EVENTS
    return bank.client._submit(operation, [defaults | fields], Filter, Event)


def balances(account):
    """(debits_pending, debits_posted, credits_pending, credits_posted)"""
    return (
        account.debits_pending,
        account.debits_posted,
        account.credits_pending,
        account.credits_posted,
    )
