//! Lines on standard output, whether anybody reads them or not.

use std::fmt::Arguments;
use std::io::{self, Write};
use std::sync::Once;

/// Prints a line as `println!` does, which ends the program where nobody reads: a server serves all
/// the same, and a run goes on to its end, where what it has started is ended and removed.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::say::line(format_args!($($text)*))
    };
}
pub(crate) use say;

/// See [`say`].
pub(crate) fn line(text: Arguments<'_>) {
    static WARNED: Once = Once::new();
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
        WARNED.call_once(|| {
            tracing::warn!(%error, "nobody reads standard output; what is under way goes on");
        });
    }
}
