//! Flags by their names.

use std::fmt;

use giro_client::{AccountFlags, TransferFlags};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A name and its bit, and whether clients may set it.
type Name = (&'static str, u16, bool);

const ACCOUNT: &[Name] = &[
    ("linked", AccountFlags::LINKED, true),
    (
        "debits_must_not_exceed_credits",
        AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS,
        true,
    ),
    (
        "credits_must_not_exceed_debits",
        AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS,
        true,
    ),
    ("history", AccountFlags::HISTORY, true),
    ("imported", AccountFlags::IMPORTED, true),
    ("closed", AccountFlags::CLOSED, true),
];

const TRANSFER: &[Name] = &[
    ("linked", TransferFlags::LINKED, true),
    ("pending", TransferFlags::PENDING, true),
    (
        "post_pending_transfer",
        TransferFlags::POST_PENDING_TRANSFER,
        true,
    ),
    (
        "void_pending_transfer",
        TransferFlags::VOID_PENDING_TRANSFER,
        true,
    ),
    ("balancing_debit", TransferFlags::BALANCING_DEBIT, true),
    ("balancing_credit", TransferFlags::BALANCING_CREDIT, true),
    ("closing_debit", TransferFlags::CLOSING_DEBIT, true),
    ("closing_credit", TransferFlags::CLOSING_CREDIT, true),
    ("imported", TransferFlags::IMPORTED, true),
    ("branch_partial", TransferFlags::BRANCH_PARTIAL, false),
    ("branch", TransferFlags::BRANCH, false),
];

macro_rules! flags {
    ($(#[$doc:meta])* $name:ident, $names:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) u16);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_seq(Names($names)).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(set($names, self.0))
            }
        }

        impl $name {
            /// The flags with these names.
            ///
            /// # Errors
            /// What is wrong with them.
            pub(crate) fn of(names: &[String]) -> Result<Self, String> {
                let mut bits = 0;
                for name in names {
                    add($names, &mut bits, name)?;
                }
                Ok(Self(bits))
            }

            /// The names of those that are set.
            pub(crate) fn names(self) -> Vec<String> {
                set($names, self.0).map(str::to_owned).collect()
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                schema($names)
            }
        }

        impl ToSchema for $name {}
    };
}

flags!(
    /// Of an account.
    AccountFlagNames, ACCOUNT
);
flags!(
    /// Of a transfer.
    TransferFlagNames, TRANSFER
);

struct Names(&'static [Name]);

impl<'de> Visitor<'de> for Names {
    type Value = u16;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of names of flags")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<u16, A::Error> {
        let mut bits = 0;
        while let Some(name) = names.next_element::<String>()? {
            add(self.0, &mut bits, &name).map_err(de::Error::custom)?;
        }
        Ok(bits)
    }
}

/// The names of the bits that are set.
fn set(names: &'static [Name], bits: u16) -> impl Iterator<Item = &'static str> {
    let set = names.iter().filter(move |(_, bit, _)| bits & bit != 0);
    set.map(|(name, _, _)| *name)
}

/// Sets the bit of a name.
fn add(names: &[Name], bits: &mut u16, name: &str) -> Result<(), String> {
    let known = names
        .iter()
        .find(|(known, _, free)| *free && *known == name);
    let Some((name, bit, _)) = known else {
        return Err("must be the name of a flag that can be set".into());
    };
    if *bits & bit != 0 {
        return Err(format!("{name} is there twice"));
    }
    *bits |= bit;
    Ok(())
}

fn schema(names: &[Name]) -> RefOr<Schema> {
    list_of(names.iter().map(|(name, _, _)| *name))
}

/// What clients may set of a transfer: less than answers have.
pub(super) fn settable() -> RefOr<Schema> {
    let free = TRANSFER.iter().filter(|(_, _, free)| *free);
    list_of(free.map(|(name, _, _)| *name))
}

fn list_of(names: impl Iterator<Item = &'static str>) -> RefOr<Schema> {
    let name = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .enum_values(Some(names));
    ArrayBuilder::new().items(name).unique_items(true).into()
}
