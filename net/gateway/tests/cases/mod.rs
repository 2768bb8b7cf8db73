mod bad_input;
mod dtm;
mod ledger;
mod limits;
mod reservations;
mod unanswered;
