//! A replica that has to leave its group: what it promised to keep is lost, or its state cannot be
//! trusted. It says so, and never takes part again under its number, however often it is started.

use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{anyhow, bail};
use giro_log::Identity;
use giro_node::NodeError;
use giro_server::ServerError;

/// In the directory of a replica that has to leave: why.
const NAME: &str = "giro.leave";

/// Refuses to start a replica that found out earlier that it has to leave.
///
/// # Errors
/// Why, and what to do.
pub(crate) fn refuse_if_noted(dir: &Path, identity: &Identity) -> anyhow::Result<()> {
    let path = dir.join(NAME);
    match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(anyhow!("cannot read {}: {error}", path.display())),
        Ok(why) => bail!(
            "this replica has found that it must leave its group: {} (noted in {}). {}",
            why.trim(),
            path.display(),
            advice(identity)
        ),
    }
}

/// What a replica has to say whose directory cannot be opened: its files tell it again at every
/// start.
pub(crate) fn explain(identity: &Identity, error: NodeError) -> anyhow::Error {
    if !error.must_leave() {
        return error.into();
    }
    anyhow!("{error}. {}", advice(identity))
}

/// What a replica has to say that was running and cannot go on. When it has to leave it notes that,
/// since the next start might not find out.
pub(crate) fn explain_end(
    dir: &Path,
    identity: &Identity,
    error: ServerError<NodeError>,
) -> anyhow::Error {
    let ServerError::Ledger(error) = error else {
        return error.into();
    };
    if error.must_leave()
        && let Err(unwritten) = note(dir, &error.to_string())
    {
        tracing::warn!(error = %unwritten, "{NAME} cannot be written");
    }
    explain(identity, error).context("the replica stops serving")
}

fn note(dir: &Path, why: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::create(dir.join(NAME))?;
    writeln!(file, "{why}")?;
    file.sync_all()?;
    std::fs::File::open(dir)?.sync_all()
}

fn advice(identity: &Identity) -> String {
    let lost = identity.replica;
    let alone = if identity.replica_count == 1 {
        ". A group that has no other replica goes on from a backup: `giro restore`"
    } else {
        ""
    };
    format!(
        "Replica {lost} cannot keep what it promised to the others: never format its number again. \
         Format a replica with a number that was never given, start it, and give it the place: \
         `giro cluster recover --lost={lost} --replica=NEW` in the directory of the leader. \
         docs/operating/cluster.md has it step by step{alone}"
    )
}

#[cfg(test)]
mod tests {
    use giro_log::LogError;

    use super::*;

    fn identity() -> Identity {
        giro::open::new_replica(7, 2, 3, [1, 2]).unwrap()
    }

    fn damage() -> NodeError {
        NodeError::Log(LogError::Corrupt {
            path: "x/1.log".into(),
            offset: 4096,
            index: 3,
            reason: "zeros".to_owned(),
        })
    }

    #[test]
    fn a_replica_that_must_leave_does_not_start_again() {
        let dir = tempfile::tempdir().unwrap();
        refuse_if_noted(dir.path(), &identity()).unwrap();
        // At a start the files tell it, and nothing is noted: a disk may only not be mounted.
        let said = explain(&identity(), damage()).to_string();
        assert!(said.contains("recover --lost=2"), "{said}");
        refuse_if_noted(dir.path(), &identity()).unwrap();
        let ended = ServerError::Ledger(damage());
        let said = format!("{:#}", explain_end(dir.path(), &identity(), ended));
        assert!(said.contains("offset 4096"), "{said}");
        assert!(said.contains("recover --lost=2"), "{said}");
        let again = refuse_if_noted(dir.path(), &identity()).unwrap_err();
        let again = again.to_string();
        assert!(
            again.contains("offset 4096") && again.contains(NAME),
            "{again}"
        );
    }

    #[test]
    fn the_only_replica_of_a_group_is_told_of_its_backups() {
        let said = explain(&identity(), damage()).to_string();
        assert!(!said.contains("giro restore"), "{said}");
        let founder = giro::open::new_replica(7, 0, 1, [1, 2]).unwrap();
        let said = explain(&founder, damage()).to_string();
        assert!(said.contains("giro restore"), "{said}");
    }

    #[test]
    fn what_passes_is_no_reason_to_leave() {
        let dir = tempfile::tempdir().unwrap();
        let busy = NodeError::Log(LogError::DiskFull {
            dir: "x".into(),
            bytes: 1,
        });
        let ended = ServerError::Ledger(busy);
        let said = format!("{:#}", explain_end(dir.path(), &identity(), ended));
        assert!(!said.contains("recover"), "{said}");
        refuse_if_noted(dir.path(), &identity()).unwrap();
    }
}
