//! `giro verify`.

mod member;

use std::path::PathBuf;

use anyhow::bail;
use giro::open::take_lock;
use giro::verify::Verified;
use giro::{Digest, Engine};
use giro_core::conservation::Totals;
use giro_store::verify::Verified as VerifiedHistory;
use serde_json::{Value, json};

use crate::config::{Config, Flags};
use crate::show;

pub(crate) use self::member::found_standing;

/// Which ledger, and what to hold it against.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    settings: Flags,
    /// The digest the replay must end with, as an earlier verify printed it.
    #[arg(long, value_name = "HEX", value_parser = digest)]
    digest: Option<Digest>,
    /// Execute the log up to this op and no further, to compare members of a group that do not know
    /// equally much to be committed.
    #[arg(long, value_name = "NUMBER")]
    op: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The ledger's directory. It must not be running.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Checks history, checkpoint and log, replays what is behind the checkpoint, and checks the books
/// afresh.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::load(&arguments.dir, &arguments.settings)?;
    let _lock = take_lock(&arguments.dir)?;
    let identity = giro_log::read_identity(&arguments.dir)?;
    let engine = if identity.incarnation == 0 {
        alone(arguments, &config)?
    } else {
        member::run(arguments, &config, &identity)?
    };
    let digest = engine.digest();
    match arguments.digest {
        Some(expected) if expected != digest => {
            bail!("the digest is {digest}, expected was {expected}: the ledgers differ")
        }
        _ => Ok(()),
    }
}

/// A digest as `verify` prints it.
fn digest(text: &str) -> Result<Digest, String> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let value = is_hex
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten();
    let value = value.ok_or("a digest has up to 32 hexadecimal digits")?;
    Ok(Digest::from_value(value))
}

/// A ledger that is alone.
fn alone(arguments: &Arguments, config: &Config) -> anyhow::Result<Engine> {
    if arguments.op.is_some() {
        bail!("--op is for members of a group: of a ledger alone all of the log counts");
    }
    let mut bar = show::VerifyBar::new();
    let verified = giro::verify::verify(&arguments.dir, &config.ledger, &mut |stage| {
        bar.show(stage);
    })?;
    bar.finish();
    Totals::of(&verified.engine.machine().tables().accounts).assert_balanced();
    if arguments.json {
        println!("{:#}", found(&verified));
    } else {
        print(&verified);
    }
    Ok(verified.engine)
}

fn found(verified: &Verified) -> Value {
    let engine = &verified.engine;
    let history = verified.history.as_ref();
    let mut found = json!({
        "records": verified.records,
        "history": history.map(|history| found_history(history, verified.compared)),
    });
    add(&mut found, found_state(engine));
    found
}

/// What a history is found to have.
fn found_history(history: &VerifiedHistory, compared: u64) -> Value {
    json!({
        "segments": history.segments, "id_runs": history.runs,
        "transfers": history.rows, "expiries": history.expiries,
        "burned_ids": history.burned, "pages": history.pages,
        "checkpoint_accounts": history.accounts,
        "checkpoint_pendings": history.pendings, "compared_with_log": compared,
    })
}

/// What the state is found to be.
fn found_state(engine: &Engine) -> Value {
    let tables = engine.machine().tables();
    json!({
        "ops": engine.commit_op(), "digest": engine.digest().to_string(),
        "accounts": tables.accounts.len(), "transfers": tables.window.end_row(),
        "sessions": engine.sessions().len(), "timestamp": engine.read_timestamp(),
    })
}

fn add(found: &mut Value, more: Value) {
    let (Some(found), Value::Object(more)) = (found.as_object_mut(), more) else {
        unreachable!("both are objects");
    };
    found.extend(more);
}

fn print(verified: &Verified) {
    print_state(&verified.engine);
    if let Some(history) = &verified.history {
        print_history(history, verified.compared);
    }
    println!("replayed   {} records", verified.records);
    println!("digest     {}", verified.engine.digest());
    if verified.history.is_some() {
        println!("history, indexes, checkpoint, log and books are in order");
    } else {
        println!("checksums, hash chain and books are in order");
    }
}

fn print_state(engine: &Engine) {
    let tables = engine.machine().tables();
    println!("ops        {}", engine.commit_op());
    println!("accounts   {}", tables.accounts.len());
    println!("transfers  {}", tables.window.end_row());
    println!("sessions   {}", engine.sessions().len());
}

fn print_history(history: &VerifiedHistory, compared: u64) {
    println!(
        "history    {} transfers, {} expiries, {} burned ids in {} segments and {} id runs",
        history.rows, history.expiries, history.burned, history.segments, history.runs
    );
    println!(
        "checkpoint {} accounts, {} open pending transfers",
        history.accounts, history.pendings
    );
    println!("compared   {compared} transfers of the log with the history");
}
