//! `giro repl` against a running server.

mod support;

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};
use support::server::Server;
use support::{Said, folder, format, giro};

/// Runs the repl with this text as `--command`, or as its input.
fn repl(server: &Server, command: Option<&str>, input: &str) -> Said {
    let addresses = format!("--addresses=127.0.0.1:{}", server.port());
    let mut repl = giro(&["repl", &addresses]);
    if let Some(text) = command {
        repl.arg(format!("--command={text}"));
    }
    repl.stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = repl.spawn().unwrap();
    let mut stdin = running.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    running.wait_with_output().unwrap().into()
}

fn lines(said: &Said) -> Vec<Value> {
    assert!(said.succeeded, "{said:?}");
    let parse = |line| serde_json::from_str(line).unwrap();
    said.out.lines().map(parse).collect()
}

const ACCOUNTS: &str = "create_accounts id=1 code=10 ledger=700 flags=history,
                        id=2 code=10 ledger=700;";

#[test]
fn money_moves_by_statements() {
    let dir = folder();
    format(dir.path());
    let server = Server::start(dir.path());
    let created = lines(&repl(&server, Some(ACCOUNTS), ""));
    assert_eq!(created.len(), 2);
    assert_eq!(created[1]["index"], 1);
    assert_eq!(created[1]["status"], "created");

    let statements = "
        create_transfers
            id=1 debit_account_id=1 credit_account_id=2 amount=10 ledger=700 code=1,
            id=2 debit_account_id=1 credit_account_id=9 amount=10 ledger=700 code=1;

        lookup_accounts id=2; lookup_transfers id=1, id=2;
        get_account_transfers account_id=1

            flags=reversed
        ;
        get_account_balances account_id=1;
        query_accounts ledger=700; query_transfers code=1 limit=1";
    let rows = lines(&repl(&server, None, statements));
    assert_eq!(rows.len(), 9, "{rows:?}");
    assert_eq!(rows[0]["status"], "created");
    assert_eq!(rows[1]["status"], "credit_account_not_found");
    assert_eq!(rows[2]["credits_posted"], "10");
    assert_eq!(
        (&rows[3]["id"], &rows[3]["amount"]),
        (&json!("1"), &json!("10"))
    );
    assert_eq!(rows[4], rows[3]);
    assert_eq!(rows[5]["debits_posted"], "10");
    assert_eq!(rows[6]["flags"], json!(["history"]));
    assert_eq!(rows[7]["flags"], json!([]));
    assert_eq!(rows[8], rows[3]);
}

#[test]
fn faults_are_shown_with_their_place_and_nothing_is_sent() {
    let dir = folder();
    format(dir.path());
    let server = Server::start(dir.path());
    let text = "create_accounts id=1 code=10 ledger=700;\nlookup_accounts ix=1;";
    let said = repl(&server, Some(text), "");
    assert!(!said.succeeded);
    assert!(
        said.error.contains("line 2, column 17: unknown field `ix`"),
        "{said:?}"
    );
    assert_eq!(said.out, "");
    let found = lines(&repl(&server, Some("lookup_accounts id=1"), ""));
    assert_eq!(found, Vec::<Value>::new());
    // A program's input ends at its first failure, and at `exit`.
    let said = repl(&server, None, "nonsense;\nlookup_accounts id=1;\n");
    assert!(
        !said.succeeded && said.error.contains("unknown statement"),
        "{said:?}"
    );
    let said = repl(&server, None, "help\nexit\nnonsense;\n");
    assert!(
        said.succeeded && said.out.contains("create_transfers"),
        "{said:?}"
    );
}

#[test]
fn without_a_server_it_says_so() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let addresses = format!("--addresses={address}");
    let said: Said = giro(&["repl", &addresses, "--deadline-ms=100", "--command=help"])
        .output()
        .unwrap()
        .into();
    assert!(!said.succeeded);
    assert!(
        said.error.contains(&address) && said.error.contains("giro start"),
        "{said:?}"
    );
}
