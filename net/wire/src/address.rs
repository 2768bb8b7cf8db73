//! Addresses as people write them: `3000`, `localhost`, `ledger.example:3000`, `[::1]:3000`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The host when only a port is given.
const HOST_DEFAULT: &str = "127.0.0.1";
/// The port when only a host is given; the field's default.
const PORT_DEFAULT: u16 = 3001;

/// A host, by name or number, and a port. Port 0 lets the system choose a free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or number.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// A text that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not an address: write PORT, HOST, HOST:PORT or [IPV6]:PORT")]
pub struct AddressError(String);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let syntax = || AddressError(text.to_owned());
        let port_of = |digits: &str| digits.parse::<u16>().map_err(|_| syntax());
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, behind) = rest.split_once(']').ok_or_else(syntax)?;
            match behind.strip_prefix(':') {
                Some(digits) => (host, port_of(digits)?),
                None if behind.is_empty() => (host, PORT_DEFAULT),
                None => return Err(syntax()),
            }
        } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
            (HOST_DEFAULT, port_of(text)?)
        } else {
            match text.split_once(':') {
                Some((_, rest)) if rest.contains(':') => (text, PORT_DEFAULT),
                Some((host, digits)) => (host, port_of(digits)?),
                None => (text, PORT_DEFAULT),
            }
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == ',' || c == '/';
        if host.is_empty() || host.contains(odd) {
            return Err(syntax());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (text, shown) in [
            ("3000", "127.0.0.1:3000"),
            ("0", "127.0.0.1:0"),
            ("10.1.2.3", "10.1.2.3:3001"),
            ("10.1.2.3:40", "10.1.2.3:40"),
            ("ledger.example:3000", "ledger.example:3000"),
            ("[::1]:3000", "[::1]:3000"),
            ("[::1]", "[::1]:3001"),
            ("fe80::1", "[fe80::1]:3001"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            ":3000",
            "70000",
            "host:",
            "host:port",
            "[::1",
            "[::1]3",
            "a,b",
            "a b",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
