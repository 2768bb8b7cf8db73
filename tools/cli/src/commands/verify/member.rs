//! Verifying the directory of a member of a group.

use std::sync::Arc;

use giro::Engine;
use giro::verify::Stage;
use giro_core::conservation::Totals;
use giro_log::Identity;
use giro_log::storage::{RealStorage, Storage};
use giro_node::{LogStanding, MemberFiles, Owner, VerifiedMember, VerifyStage};
use serde_json::{Value, json};

use super::{Arguments, add, found_history, found_state, print_history, print_state};
use crate::commands::members::{found_member, kind_of, replica_of};
use crate::commands::serve::replica_options;
use crate::config::Config;
use crate::show;

/// Verifies it, prints what it has, and gives the state behind the last op that was executed.
pub(super) fn run(
    arguments: &Arguments,
    config: &Config,
    identity: &Identity,
) -> anyhow::Result<Engine> {
    let storage: Arc<dyn Storage> = Arc::new(RealStorage);
    let options = replica_options(identity, config);
    let mut bar = show::SurveyBar::new();
    let files = MemberFiles::read(
        &storage,
        &arguments.dir,
        &options,
        Owner::Stopped,
        &mut |at| bar.show(at),
    )?;
    bar.finish();
    let mut bar = show::VerifyBar::new();
    let verified = files.verify(arguments.op, &mut |stage| {
        bar.show(match stage {
            VerifyStage::History(at) => Stage::History(at),
            VerifyStage::Replay(at) => Stage::Replay(at),
        });
    })?;
    bar.finish();
    Totals::of(&verified.engine.machine().tables().accounts).assert_balanced();
    if arguments.json {
        println!("{:#}", found(&verified, identity));
    } else {
        print(&verified, identity);
    }
    Ok(verified.engine)
}

fn found(verified: &VerifiedMember, identity: &Identity) -> Value {
    let members = &verified.members;
    let members: Vec<Value> = members
        .known
        .iter()
        .map(|member| found_member(members, member))
        .collect();
    let history = verified.history.as_ref();
    let mut found = json!({
        "replica": identity.replica,
        "log": found_standing(&verified.standing),
        "executed_entries": verified.executed,
        "members": members,
        "history": history.map(|history| found_history(history, verified.compared)),
    });
    add(&mut found, found_state(&verified.engine));
    found
}

/// How far a member's log has come.
pub(crate) fn found_standing(standing: &LogStanding) -> Value {
    let LogStanding {
        hard,
        records,
        entries,
        applied,
        void,
    } = standing;
    json!({
        "term": hard.term, "vote": replica_of(hard.vote), "commit": hard.commit,
        "first_record": records.0, "last_record": records.1,
        "first_entry": entries.0, "last_entry": entries.1,
        "checkpoint_entry": applied, "void_records": void,
    })
}

fn print(verified: &VerifiedMember, identity: &Identity) {
    let LogStanding {
        hard,
        records,
        entries,
        applied,
        void,
    } = &verified.standing;
    let vote = replica_of(hard.vote).map_or("nobody".to_owned(), |replica| replica.to_string());
    println!(
        "replica    {} of cluster {}, term {}, voted for {vote}",
        identity.replica, identity.cluster, hard.term
    );
    let members = &verified.members;
    let names = members.known.iter().map(|member| {
        let replica = member.id - 1;
        format!("{replica} ({})", kind_of(members, member.id))
    });
    println!("members    {}", names.collect::<Vec<_>>().join(", "));
    println!(
        "log        records {} to {}, {void} void",
        records.0, records.1
    );
    println!(
        "entries    {} to {}, known to be committed up to {}, in the checkpoint up to {applied}",
        entries.0, entries.1, hard.commit
    );
    print_state(&verified.engine);
    if let Some(history) = &verified.history {
        print_history(history, verified.compared);
    }
    println!("replayed   {} entries", verified.executed);
    println!("digest     {}", verified.engine.digest());
    println!(
        "all that is known to be committed is in order; what is behind it was only checked for \
         damage"
    );
}
