//! Integers of JSON without loss: digits, as a number or as a text.
//!
//! JSON's numbers have no width, and many programs read them as 64-bit floats. So what may be
//! larger than such a float holds exactly is answered as a text, and both forms are taken.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{Number, PartialSchema, ToSchema};

/// Reads digits, of which no value may be above `max`.
///
/// # Errors
/// What is wrong, in words that do not repeat the input.
pub(crate) fn parse(text: &str, max: u128) -> Result<u128, String> {
    let form = || "must be an integer: digits only, as a number or a text".to_owned();
    if text.starts_with('-') {
        return Err("must not be negative".into());
    }
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(form());
    }
    match text.parse() {
        Ok(value) if value <= max => Ok(value),
        // Digits alone fail only of being too many.
        _ => Err(format!("must be at most {max}")),
    }
}

/// The value of a raw JSON number or text.
fn from_json(raw: &str, max: u128) -> Result<u128, String> {
    if raw.starts_with('"') {
        let text: String = serde_json::from_str(raw).map_err(|_| "must be a text".to_owned())?;
        return parse(&text, max);
    }
    let is_number = raw.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    if is_number && raw.contains(['.', 'e', 'E']) {
        return Err("must be an integer, without a fraction or an exponent".into());
    }
    parse(raw, max)
}

macro_rules! integer {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $method:ident, $is_text:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let raw = <&RawValue>::deserialize(deserializer)?;
                let value = from_json(raw.get(), <$inner>::MAX.into());
                let value = value.map_err(de::Error::custom)?;
                // It is at most the type's largest.
                <$inner>::try_from(value).map($name).map_err(de::Error::custom)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                write::$method(serializer, self.0)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                schema(<$inner>::MAX.into(), $is_text)
            }
        }

        impl ToSchema for $name {}
    };
}

integer!(
    /// Up to 128 bits; a text in answers.
    U128, u128, text, true
);
integer!(
    /// Up to 64 bits; a text in answers.
    U64, u64, text, true
);
integer!(
    /// Up to 32 bits; a number in answers.
    U32, u32, number, false
);
integer!(
    /// Up to 16 bits; a number in answers.
    U16, u16, number, false
);

/// The two forms of answers.
mod write {
    use serde::Serializer;

    pub(super) fn text<S: Serializer>(
        serializer: S,
        value: impl std::fmt::Display,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&value)
    }

    pub(super) fn number<S: Serializer>(
        serializer: S,
        value: impl Into<u32>,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(value.into())
    }
}

fn schema(max: u128, is_text: bool) -> RefOr<Schema> {
    let text = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .pattern(Some(pattern(max)));
    let number = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Integer))
        .minimum(Some(0))
        .maximum(largest(max));
    let answered = if is_text { "a text" } else { "a number" };
    let about = format!("0 to {max}, as a number or as digits in a text; answers have {answered}");
    OneOfBuilder::new()
        .item(text)
        .item(number)
        .description(Some(about))
        .into()
}

/// The largest number, if a description can have it: beyond 64 bits it would be rounded.
fn largest(max: u128) -> Option<Number> {
    usize::try_from(max).ok().map(Number::UInt)
}

/// A regular expression for the digits of 0 to `max`.
fn pattern(max: u128) -> String {
    let digits = max.to_string();
    let mut forms = vec!["0".to_owned()];
    if digits.len() > 1 {
        forms.push(format!("[1-9][0-9]{{0,{}}}", digits.len() - 2));
    }
    // As many digits as the largest has: equal to it up to a place, and less there.
    for (place, digit) in digits.bytes().enumerate() {
        let least = if place == 0 { b'1' } else { b'0' };
        if digit > least {
            let rest = digits.len() - place - 1;
            let (least, most) = (char::from(least), char::from(digit - 1));
            forms.push(format!(
                "{}[{least}-{most}][0-9]{{{rest}}}",
                &digits[..place]
            ));
        }
    }
    forms.push(digits);
    format!("^0*({})$", forms.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_of_a_text_ends_at_the_largest() {
        let found = pattern(65_535);
        let expected = "^0*(0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2]\
                        [0-9]{1}|6553[0-4][0-9]{0}|65535)$";
        assert_eq!(found, expected);
    }

    fn read(text: &str) -> Result<u128, String> {
        let read = serde_json::from_str::<U128>(text);
        read.map(|value| value.0).map_err(|error| error.to_string())
    }

    #[test]
    fn integers_of_128_bits_keep_every_digit() {
        let max = u128::MAX.to_string();
        for text in [max.clone(), format!("\"{max}\"")] {
            assert_eq!(read(&text), Ok(u128::MAX));
        }
        assert_eq!(read("9007199254740993"), Ok(9_007_199_254_740_993));
        let shown = serde_json::to_string(&U128(u128::MAX)).unwrap();
        assert_eq!(shown, format!("\"{max}\""));
    }

    #[test]
    fn everything_else_is_refused_with_a_reason() {
        let over = "340282366920938463463374607431768211456";
        for (text, reason) in [
            ("1.0", "without a fraction"),
            ("1e3", "without a fraction"),
            ("-1", "negative"),
            ("\"-1\"", "negative"),
            ("\"1.0\"", "digits only"),
            ("\"\"", "digits only"),
            ("\" 1\"", "digits only"),
            ("\"+1\"", "digits only"),
            ("\"0x1\"", "digits only"),
            ("null", "digits only"),
            ("true", "digits only"),
            ("[1]", "digits only"),
            ("{}", "digits only"),
            (over, "at most"),
            ("\"999999999999999999999999999999999999999999\"", "at most"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let error = serde_json::from_str::<U16>("65536").unwrap_err();
        assert!(error.to_string().contains("at most 65535"), "{error}");
    }
}
