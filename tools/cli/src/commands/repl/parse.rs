//! From a text to statements.
//!
//! ```text
//! statements = statement { ";" statement } [ ";" ]
//! statement  = operation [ object { "," object } ]
//! object     = { field "=" value }
//! ```

use giro_client::{Account, AccountFilter, QueryFilter, Transfer};

use super::fault::Fault;
use super::fields::{Id, Record};

/// What `help` prints.
pub(super) const HELP: &str = "\
Statements end with `;` (at a terminal also with an empty line). Objects have commas between them.

  create_accounts id=1 code=10 ledger=700 flags=linked|history, id=2 code=10 ledger=700;
  create_transfers id=1 debit_account_id=1 credit_account_id=2 amount=10 ledger=700 code=10;
  create_transfers id=2 pending_id=1 amount=-0 flags=post_pending_transfer;
  lookup_accounts id=1, id=2;
  lookup_transfers id=1;
  get_account_transfers account_id=1 flags=debits|credits|reversed limit=10;
  get_account_balances account_id=1;
  query_accounts ledger=700 limit=10;
  query_transfers code=10 timestamp_min=1 flags=reversed;
  help; exit;

Numbers are decimal, or have another base after 0x, 0o or 0b. -0 is the largest of a field, as in
amount=-0. A filter without limit takes all that one reply holds (8189), an account's filter
without flags both sides. Results are lines of JSON; 64 and 128 bit numbers are strings there.
";

/// Most rows of a reply, and the limit of a filter that names none.
const LIMIT_DEFAULT: u32 = giro_base::limits::EVENTS_MAX as u32;

/// What somebody wants.
#[derive(Debug, PartialEq)]
pub(super) enum Statement {
    Help,
    Exit,
    Ask(Request),
}

/// What the ledger is asked.
#[derive(Debug, PartialEq)]
pub(super) enum Request {
    CreateAccounts(Vec<Account>),
    CreateTransfers(Vec<Transfer>),
    LookupAccounts(Vec<u128>),
    LookupTransfers(Vec<u128>),
    GetAccountTransfers(AccountFilter),
    GetAccountBalances(AccountFilter),
    QueryAccounts(QueryFilter),
    QueryTransfers(QueryFilter),
}

/// Reads statements.
///
/// # Errors
/// The first fault, with its place.
pub(super) fn parse(text: &str) -> Result<Vec<Statement>, Fault> {
    let mut tokens = Tokens { text, at: 0 };
    let mut statements = Vec::new();
    loop {
        while tokens.take(';') {}
        if tokens.is_at_end() {
            return Ok(statements);
        }
        statements.push(statement(&mut tokens)?);
        if !tokens.is_at_end() && !tokens.take(';') {
            let found = tokens.rest_of_word();
            let what = format!("unexpected `{found}`; a statement ends with `;`");
            return Err(Fault::new(tokens.at, what));
        }
    }
}

const OPERATIONS: [&str; 10] = [
    "create_accounts",
    "create_transfers",
    "lookup_accounts",
    "lookup_transfers",
    "get_account_transfers",
    "get_account_balances",
    "query_accounts",
    "query_transfers",
    "help",
    "exit",
];

fn statement(tokens: &mut Tokens<'_>) -> Result<Statement, Fault> {
    let (at, operation) = tokens.word("a statement")?;
    let request = match operation {
        "help" => return Ok(Statement::Help),
        "exit" | "quit" => return Ok(Statement::Exit),
        "create_accounts" => Request::CreateAccounts(objects(tokens, operation)?),
        "create_transfers" => Request::CreateTransfers(objects(tokens, operation)?),
        "lookup_accounts" => Request::LookupAccounts(ids(tokens, operation)?),
        "lookup_transfers" => Request::LookupTransfers(ids(tokens, operation)?),
        "get_account_transfers" => Request::GetAccountTransfers(account_filter(tokens, operation)?),
        "get_account_balances" => Request::GetAccountBalances(account_filter(tokens, operation)?),
        "query_accounts" => Request::QueryAccounts(query_filter(tokens, operation)?),
        "query_transfers" => Request::QueryTransfers(query_filter(tokens, operation)?),
        _ => {
            let known = OPERATIONS.join(", ");
            let what = format!("unknown statement `{operation}`; there are: {known}");
            return Err(Fault::new(at, what));
        }
    };
    Ok(Statement::Ask(request))
}

fn ids(tokens: &mut Tokens<'_>, operation: &str) -> Result<Vec<u128>, Fault> {
    let ids: Vec<Id> = objects(tokens, operation)?;
    Ok(ids.into_iter().map(|object| object.id).collect())
}

fn account_filter(tokens: &mut Tokens<'_>, operation: &str) -> Result<AccountFilter, Fault> {
    let start = AccountFilter {
        limit: LIMIT_DEFAULT,
        flags: AccountFilter::DEBITS | AccountFilter::CREDITS,
        ..AccountFilter::default()
    };
    let mut filter = one(tokens, operation, start)?;
    if filter.flags & (AccountFilter::DEBITS | AccountFilter::CREDITS) == 0 {
        // Only the order was given.
        filter.flags |= AccountFilter::DEBITS | AccountFilter::CREDITS;
    }
    Ok(filter)
}

fn query_filter(tokens: &mut Tokens<'_>, operation: &str) -> Result<QueryFilter, Fault> {
    let start = QueryFilter {
        limit: LIMIT_DEFAULT,
        ..QueryFilter::default()
    };
    one(tokens, operation, start)
}

/// At most one object, on top of what it starts as.
fn one<R: Record>(tokens: &mut Tokens<'_>, operation: &str, start: R) -> Result<R, Fault> {
    let (filter, _) = object(tokens, operation, start)?;
    if tokens.peek() == Some(',') {
        let what = format!("{operation} takes one filter");
        return Err(Fault::new(tokens.at, what));
    }
    Ok(filter)
}

/// One object or several.
fn objects<R: Record>(tokens: &mut Tokens<'_>, operation: &str) -> Result<Vec<R>, Fault> {
    let mut objects = Vec::new();
    loop {
        let (object, fields) = object(tokens, operation, R::default())?;
        if fields == 0 {
            let names = R::NAMES.join(", ");
            let what = format!("an object of {operation} is missing; its fields are: {names}");
            return Err(Fault::new(tokens.at, what));
        }
        objects.push(object);
        if !tokens.take(',') {
            return Ok(objects);
        }
    }
}

/// Reads fields up to the end of the object, and counts them.
fn object<R: Record>(
    tokens: &mut Tokens<'_>,
    operation: &str,
    mut object: R,
) -> Result<(R, usize), Fault> {
    let mut seen: Vec<&str> = Vec::new();
    loop {
        tokens.skip_space();
        if matches!(tokens.peek(), None | Some(',' | ';')) {
            return Ok((object, seen.len()));
        }
        let (at, name) = tokens.word("a field")?;
        if !R::NAMES.contains(&name) {
            let names = R::NAMES.join(", ");
            let what = format!("unknown field `{name}`; {operation} takes: {names}");
            return Err(Fault::new(at, what));
        }
        if seen.contains(&name) {
            return Err(Fault::new(at, format!("`{name}` is given twice")));
        }
        seen.push(name);
        if !tokens.take('=') {
            let what = format!("`=` and a value are missing behind `{name}`");
            return Err(Fault::new(tokens.at, what));
        }
        let (at, value) = tokens.value(name)?;
        if let Err(what) = object.set(name, &value) {
            let what = what.unwrap_or_else(|| format!("unknown field `{name}`"));
            return Err(Fault::new(at, what));
        }
    }
}

struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.rest().is_empty()
    }

    /// Takes this character if it comes next.
    fn take(&mut self, wanted: char) -> bool {
        self.skip_space();
        let is_next = self.peek() == Some(wanted);
        if is_next {
            self.at += wanted.len_utf8();
        }
        is_next
    }

    /// What stands here up to a space or a sign.
    fn rest_of_word(&self) -> &'a str {
        let rest = self.rest();
        let is_end = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '=' | '|');
        let end = rest.find(is_end).unwrap_or(rest.len());
        // A sign alone is shown as what was found.
        let first = rest.chars().next().map_or(0, char::len_utf8);
        &rest[..end.max(first)]
    }

    /// A name, and where it stands.
    fn word(&mut self, wanted: &str) -> Result<(usize, &'a str), Fault> {
        self.skip_space();
        let at = self.at;
        let word = self.rest_of_word();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if word.is_empty() || !word.chars().all(is_name) {
            return Err(Fault::new(at, format!("`{word}` is not {wanted}")));
        }
        self.at += word.len();
        Ok((at, word))
    }

    /// A value: words with `|` between them, without the spaces around it.
    fn value(&mut self, field: &str) -> Result<(usize, String), Fault> {
        self.skip_space();
        let at = self.at;
        let mut value = String::new();
        loop {
            self.skip_space();
            let word = self.rest_of_word();
            if word.is_empty() || word.starts_with([',', ';', '=', '|']) {
                return Err(Fault::new(
                    self.at,
                    format!("a value for `{field}` is missing"),
                ));
            }
            value.push_str(word);
            self.at += word.len();
            if !self.take('|') {
                return Ok((at, value));
            }
            value.push('|');
        }
    }
}

#[cfg(test)]
mod tests {
    use giro_client::{AccountFlags, TransferFlags};

    use super::*;

    fn request(text: &str) -> Request {
        let mut statements = parse(text).unwrap();
        match (statements.pop(), statements.len()) {
            (Some(Statement::Ask(request)), 0) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn statements_become_what_the_ledger_takes() {
        let account = |id, flags| Account {
            id,
            code: 10,
            ledger: 700,
            flags,
            ..Account::default()
        };
        assert_eq!(
            request(
                "create_accounts id=1 code=10 ledger=700 \
                 flags=linked | debits_must_not_exceed_credits,\n id = 2 code=10 ledger=0x2bc;"
            ),
            Request::CreateAccounts(vec![
                account(
                    1,
                    AccountFlags::LINKED | AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS
                ),
                account(2, 0)
            ])
        );
        let post = Transfer {
            id: 2,
            pending_id: 1,
            amount: u128::MAX,
            flags: TransferFlags::POST_PENDING_TRANSFER,
            ..Transfer::default()
        };
        assert_eq!(
            request("create_transfers id=2 pending_id=1 amount=-0 flags=post_pending_transfer"),
            Request::CreateTransfers(vec![post])
        );
        assert_eq!(
            request("lookup_accounts id=1, id=340_282;"),
            Request::LookupAccounts(vec![1, 340_282])
        );
        assert_eq!(
            request("lookup_transfers id=7"),
            Request::LookupTransfers(vec![7])
        );
    }

    #[test]
    fn filters_have_defaults() {
        let both = AccountFilter::DEBITS | AccountFilter::CREDITS;
        let filter = |flags, limit| AccountFilter {
            account_id: 1,
            limit,
            flags,
            ..AccountFilter::default()
        };
        for (text, expected) in [
            ("account_id=1", filter(both, 8189)),
            (
                "account_id=1 flags=credits",
                filter(AccountFilter::CREDITS, 8189),
            ),
            (
                "account_id=1 flags=reversed limit=3",
                filter(both | AccountFilter::REVERSED, 3),
            ),
        ] {
            assert_eq!(
                request(&format!("get_account_transfers {text}")),
                Request::GetAccountTransfers(expected),
                "{text}"
            );
            assert_eq!(
                request(&format!("get_account_balances {text};")),
                Request::GetAccountBalances(expected)
            );
        }
        let all = QueryFilter {
            limit: 8189,
            ..QueryFilter::default()
        };
        assert_eq!(request("query_accounts"), Request::QueryAccounts(all));
        let some = QueryFilter {
            code: 5,
            flags: QueryFilter::REVERSED,
            ..all
        };
        assert_eq!(
            request("query_transfers code=5 flags=reversed"),
            Request::QueryTransfers(some)
        );
    }

    #[test]
    fn several_statements_and_none() {
        let found = parse("help; lookup_accounts id=1; ;exit;").unwrap();
        let ask = Statement::Ask(Request::LookupAccounts(vec![1]));
        assert_eq!(found, [Statement::Help, ask, Statement::Exit]);
        assert_eq!(parse(" \n ;; "), Ok(Vec::new()));
    }

    #[test]
    fn every_example_of_the_help_is_valid() {
        let examples: String = HELP.lines().filter(|l| l.starts_with("  ")).collect();
        let statements = parse(&examples).unwrap();
        assert_eq!(statements.len(), OPERATIONS.len() + 1);
    }

    #[test]
    fn faults_say_where_and_what() {
        for (text, at, what) in [
            (
                "creat_accounts id=1",
                0,
                "unknown statement `creat_accounts`",
            ),
            (
                "create_accounts",
                15,
                "an object of create_accounts is missing",
            ),
            (
                "create_accounts id=1,;",
                21,
                "an object of create_accounts is missing",
            ),
            ("create_accounts cod=1", 16, "unknown field `cod`"),
            ("create_accounts code=65536", 21, "does not fit 16 bits"),
            ("create_accounts code=", 21, "a value for `code` is missing"),
            (
                "create_accounts code=, id=1",
                21,
                "a value for `code` is missing",
            ),
            ("create_accounts code", 20, "`=` and a value are missing"),
            ("create_accounts id=1 id=2", 21, "`id` is given twice"),
            ("create_accounts flags=odd", 22, "unknown flag `odd`"),
            (
                "create_accounts flags=linked|;",
                29,
                "a value for `flags` is missing",
            ),
            ("lookup_accounts id=one", 19, "`one` is not a number"),
            ("query_accounts code=1, code=2", 21, "takes one filter"),
            ("help me", 5, "unexpected `me`"),
            ("help = 3", 5, "unexpected `=`"),
            ("= 3", 0, "`=` is not a statement"),
            ("lookup_accounts id=1 \u{fc}=3", 21, "is not a field"),
        ] {
            let fault = parse(text).expect_err(text);
            assert_eq!(fault.at, at, "{text}: {fault:?}");
            assert!(fault.what.contains(what), "{text}: {fault:?}");
        }
    }
}
