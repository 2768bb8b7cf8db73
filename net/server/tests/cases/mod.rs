//! What holds for any number of threads.

mod bad_input;
mod ledger;
mod refusals;
mod requests;
