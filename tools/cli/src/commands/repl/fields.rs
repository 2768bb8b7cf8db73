//! The fields of records, by name.

use giro_client::{Account, AccountFilter, QueryFilter, Transfer};

/// A record whose fields statements set.
pub(super) trait Record: Default {
    /// The names of its fields.
    const NAMES: &'static [&'static str];

    /// Sets a field.
    ///
    /// # Errors
    /// What is wrong with the value; none when there is no such field.
    fn set(&mut self, name: &str, value: &str) -> Result<(), Option<String>>;
}

/// The names of a field's bits.
pub(crate) type FlagNames<T> = &'static [(&'static str, T)];

pub(crate) const ACCOUNT_FLAGS: FlagNames<u16> = &[
    ("linked", 1),
    ("debits_must_not_exceed_credits", 2),
    ("credits_must_not_exceed_debits", 4),
    ("history", 8),
    ("imported", 16),
    ("closed", 32),
];
pub(crate) const TRANSFER_FLAGS: FlagNames<u16> = &[
    ("linked", 1),
    ("pending", 2),
    ("post_pending_transfer", 4),
    ("void_pending_transfer", 8),
    ("balancing_debit", 16),
    ("balancing_credit", 32),
    ("closing_debit", 64),
    ("closing_credit", 128),
    ("imported", 256),
];
const ACCOUNT_FILTER_FLAGS: FlagNames<u32> = &[("debits", 1), ("credits", 2), ("reversed", 4)];
const QUERY_FILTER_FLAGS: FlagNames<u32> = &[("reversed", 1)];

/// An id alone, for lookups.
#[derive(Default)]
pub(super) struct Id {
    pub(super) id: u128,
}

macro_rules! record {
    ($record:ident { $($field:ident),* $(,)? } $(flags: $flags:expr)?) => {
        impl Record for $record {
            const NAMES: &'static [&'static str] = &[
                $(stringify!($field),)*
                $(record!(@flags_name $flags),)?
            ];

            fn set(&mut self, name: &str, value: &str) -> Result<(), Option<String>> {
                match name {
                    $(stringify!($field) => self.$field = number(value)?,)*
                    $(record!(@flags_name $flags) => self.flags = flags(value, $flags)?,)?
                    _ => return Err(None),
                }
                Ok(())
            }
        }
    };
    (@flags_name $flags:expr) => {
        "flags"
    };
}

record!(Id { id });
record!(Account {
    id, debits_pending, debits_posted, credits_pending, credits_posted,
    user_data_128, user_data_64, user_data_32, ledger, code, timestamp,
} flags: ACCOUNT_FLAGS);
record!(Transfer {
    id, debit_account_id, credit_account_id, amount, pending_id,
    user_data_128, user_data_64, user_data_32, timeout, ledger, code, timestamp,
} flags: TRANSFER_FLAGS);
record!(AccountFilter {
    account_id, user_data_128, user_data_64, user_data_32, code,
    timestamp_min, timestamp_max, limit,
} flags: ACCOUNT_FILTER_FLAGS);
record!(QueryFilter {
    user_data_128, user_data_64, user_data_32, ledger, code,
    timestamp_min, timestamp_max, limit,
} flags: QUERY_FILTER_FLAGS);

/// A number: decimal, or in another base after `0x`, `0o` or `0b`, with `_` where it helps; `-0`
/// is the field's largest value, `-1` the one below.
fn number<T: TryFrom<u128>>(text: &str) -> Result<T, Option<String>> {
    let bits = 8 * size_of::<T>();
    let largest = u128::MAX >> (128 - bits);
    let not_one = || Some(format!("`{text}` is not a number"));
    let (is_from_top, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let radixes = [("0x", 16), ("0o", 8), ("0b", 2), ("", 10)];
    let radix = |(prefix, radix)| Some((digits.strip_prefix(prefix)?, radix));
    let (digits, radix) = radixes.into_iter().find_map(radix).unwrap_or((digits, 10));
    if digits.starts_with(['+', '-']) {
        return Err(not_one());
    }
    let digits = digits.replace('_', "");
    let too_large = || {
        let text = format!("`{text}` does not fit {bits} bits; the largest value is {largest}");
        Some(text)
    };
    let value = match u128::from_str_radix(&digits, radix) {
        Ok(value) => value,
        Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => {
            return Err(too_large());
        }
        Err(_) => return Err(not_one()),
    };
    let value = if is_from_top {
        largest.checked_sub(value)
    } else {
        Some(value)
    };
    value
        .and_then(|value| T::try_from(value).ok())
        .ok_or_else(too_large)
}

/// The names of the flags that are set.
pub(crate) fn names(flags: u16, names: FlagNames<u16>) -> Vec<&'static str> {
    let is_set = |(_, bit): &&(&str, u16)| flags & bit != 0;
    names.iter().filter(is_set).map(|(name, _)| *name).collect()
}

/// Names with `|` between them.
fn flags<T>(text: &str, names: FlagNames<T>) -> Result<T, Option<String>>
where
    T: Copy + Default + std::ops::BitOr<Output = T>,
{
    let mut all = T::default();
    for part in text.split('|') {
        let known = names.iter().find(|(name, _)| *name == part);
        let Some((_, bit)) = known else {
            let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            let names = names.join(", ");
            return Err(Some(format!("unknown flag `{part}`; there are: {names}")));
        };
        all = all | *bit;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use giro_client::{AccountFlags, TransferFlags};

    use super::*;

    #[test]
    fn numbers_are_read_in_every_form() {
        for (text, value) in [
            ("0", Ok(0_u16)),
            ("65535", Ok(65535)),
            ("0xff", Ok(255)),
            ("0o17", Ok(15)),
            ("0b101", Ok(5)),
            ("1_000", Ok(1000)),
            ("-0", Ok(65535)),
            ("-1", Ok(65534)),
        ] {
            assert_eq!(number(text), value, "{text}");
        }
        assert_eq!(number("-0"), Ok(u128::MAX));
        for text in ["", "x", "1.5", "--1", "+1", "0x", "-", "1 "] {
            let fault: Result<u16, _> = number(text);
            assert!(
                fault.unwrap_err().unwrap().contains("not a number"),
                "{text}"
            );
        }
        for text in ["65536", "-65536", "0x1_0000", &"9".repeat(40)] {
            let fault: Result<u16, _> = number(text);
            assert!(fault.unwrap_err().unwrap().contains("65535"), "{text}");
        }
    }

    #[test]
    fn flags_have_the_bits_of_the_records() {
        let all = |names: FlagNames<u16>| names.iter().fold(0, |bits, (_, bit)| bits | bit);
        assert_eq!(all(ACCOUNT_FLAGS), AccountFlags::ALL);
        assert_eq!(all(TRANSFER_FLAGS), TransferFlags::ALL);
        assert_eq!(
            flags("linked|pending", TRANSFER_FLAGS),
            Ok(TransferFlags::LINKED | TransferFlags::PENDING)
        );
        assert_eq!(flags("history", ACCOUNT_FLAGS), Ok(AccountFlags::HISTORY));
        assert_eq!(
            flags("debits|reversed", ACCOUNT_FILTER_FLAGS),
            Ok(AccountFilter::DEBITS | AccountFilter::REVERSED)
        );
        assert_eq!(
            flags("reversed", QUERY_FILTER_FLAGS),
            Ok(QueryFilter::REVERSED)
        );
        let fault = flags("linked|odd", ACCOUNT_FLAGS).unwrap_err().unwrap();
        assert!(
            fault.contains("`odd`") && fault.contains("history"),
            "{fault}"
        );
    }

    #[test]
    fn every_field_can_be_set() {
        let mut transfer = Transfer::default();
        for (value, name) in (1..).zip(Transfer::NAMES) {
            let value = match *name {
                "flags" => "imported".to_owned(),
                _ => value.to_string(),
            };
            assert_eq!(transfer.set(name, &value), Ok(()), "{name}");
        }
        assert_eq!((transfer.id, transfer.timestamp), (1, 12));
        assert_eq!(transfer.flags, TransferFlags::IMPORTED);
        assert_eq!(transfer.set("reserved", "0"), Err(None));
    }
}
