//! A ledger alone becomes the first member of a group.

use std::path::Path;

use super::identity::{Identity, read_identity_on};
use crate::error::LogError;
use crate::storage::Storage;

/// Makes the ledger alone in `dir` the first replica of a group of one, under this incarnation, for
/// good. Everything else in the directory stays as it is. A crash in the middle leaves the one or
/// the other. To be called by whoever holds the directory's lock.
///
/// # Errors
/// [`LogError::InGroup`] when it is a member of a group; [`LogError::NotFormatted`],
/// [`LogError::BadIdentity`] and [`LogError::Io`].
///
/// # Panics
/// When the incarnation is 0, which is none.
pub fn found_group_on(
    storage: &dyn Storage,
    dir: &Path,
    incarnation: u64,
) -> Result<Identity, LogError> {
    assert_ne!(incarnation, 0, "a member has an incarnation");
    let alone = read_identity_on(storage, dir)?;
    if alone.incarnation != 0 {
        let (dir, replica) = (dir.to_owned(), alone.replica);
        return Err(LogError::InGroup { dir, replica });
    }
    let founder = Identity {
        incarnation,
        ..alone
    };
    founder.write(storage, dir)?;
    Ok(founder)
}
