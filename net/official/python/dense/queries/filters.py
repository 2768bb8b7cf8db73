"""Filters with every field at its neutral value, and what is invalid in any filter."""

import tigerbeetle as tb
from bank import BATCH_MAX
from tigerbeetle import AccountFilterFlags, QueryFilterFlags

BOTH = AccountFilterFlags.DEBITS | AccountFilterFlags.CREDITS
TIME_MAX = 2**63 - 1

# Fields that make any filter invalid: the answer is then empty, never an error.
INVALID_TIMES = [
    {"timestamp_min": TIME_MAX + 1},
    {"timestamp_max": TIME_MAX + 1},
    {"timestamp_min": 2**64 - 1},
    {"timestamp_max": 2**64 - 1},
    {"timestamp_min": 2, "timestamp_max": 1},
]


def account_filter(**fields):
    """A filter for get_account_transfers and get_account_balances."""
    defaults = {
        "account_id": 0,
        "user_data_128": 0,
        "user_data_64": 0,
        "user_data_32": 0,
        "code": 0,
        "timestamp_min": 0,
        "timestamp_max": 0,
        "limit": BATCH_MAX,
        "flags": BOTH,
    }
    return tb.AccountFilter(**(defaults | fields))


def query_filter(**fields):
    """A filter for query_accounts and query_transfers."""
    defaults = {
        "user_data_128": 0,
        "user_data_64": 0,
        "user_data_32": 0,
        "ledger": 0,
        "code": 0,
        "timestamp_min": 0,
        "timestamp_max": 0,
        "limit": BATCH_MAX,
        "flags": QueryFilterFlags.NONE,
    }
    return tb.QueryFilter(**(defaults | fields))


def ids(objects):
    """The ids, in order."""
    return [o.id for o in objects]
