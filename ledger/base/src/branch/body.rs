//! Bodies of branch operations: archives, validated whole before anything is read from them.

use rkyv::api::high::{HighSerializer, HighValidator, to_bytes_in};
use rkyv::bytecheck::CheckBytes;
use rkyv::de::Pool;
use rkyv::rancor::Strategy;
use rkyv::rancor::{Error, Failure};
use rkyv::ser::allocator::ArenaHandle;
use rkyv::vec::ArchivedVec;
use rkyv::{Deserialize, Portable, Serialize};
use thiserror::Error;

use super::request::{
    ArchivedBranchKey, ArchivedConfirmBranch, ArchivedTryBranch, BranchKey, ConfirmBranch,
    TryBranch,
};
use crate::limits::{
    BODY_BYTES_MAX, BRANCH_EVENTS_MAX, BRANCH_LEGS_MAX, BRANCH_TEXT_BYTES_MAX, BRANCHES_MAX,
    EVENTS_MAX_UNBATCHED,
};
use crate::operation::Kind;

/// Why a body is not valid for a branch operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BranchBodyError {
    /// Not an archive of what the operation takes, or a text that is not UTF-8.
    #[error("the body of {bytes} bytes is no archive of the operation's branches")]
    Archive {
        /// The body's length.
        bytes: usize,
    },
    /// More branches than one request takes.
    #[error("{branches} branches in one request; at most {BRANCHES_MAX}")]
    Branches {
        /// How many there were.
        branches: usize,
    },
    /// A text that is empty or too long.
    #[error("branch {branch}: {field} has {bytes} bytes, and takes 1 to {BRANCH_TEXT_BYTES_MAX}")]
    Text {
        /// Which branch of the request, from 0.
        branch: usize,
        /// `gid` or `branch_id`.
        field: &'static str,
        /// The text's length.
        bytes: usize,
    },
    /// No legs or too many, or too many amounts.
    #[error("branch {branch} has {legs} legs or amounts; 1 to {BRANCH_LEGS_MAX} are taken")]
    Legs {
        /// Which branch of the request, from 0.
        branch: usize,
        /// How many there were.
        legs: usize,
    },
    /// All branches together have too many legs.
    #[error("{events} legs in one request; at most {EVENTS_MAX_UNBATCHED}")]
    Events {
        /// How many there were, the branches' own ids counted with those of a confirm.
        events: usize,
    },
    /// The texts and legs of all branches together are too long.
    #[error("the branches of one request take {bytes} bytes together; at most {BODY_BYTES_MAX}")]
    Bytes {
        /// How many they take.
        bytes: usize,
    },
}

/// A validated body of a branch operation.
#[derive(Clone, Copy)]
pub enum Branches<'a> {
    /// Of `try_branches`.
    Try(&'a [ArchivedTryBranch]),
    /// Of `confirm_branches`.
    Confirm(&'a [ArchivedConfirmBranch]),
    /// Of `cancel_branches` and `lookup_branches`.
    Keys(&'a [ArchivedBranchKey]),
}

/// Most timestamps that an operation takes.
pub const MAX_TICKS: usize = EVENTS_MAX_UNBATCHED;

impl<'a> Branches<'a> {
    /// Reads a body, checking everything that can be wrong with it.
    ///
    /// # Errors
    /// What is wrong, and where.
    ///
    /// # Panics
    /// When the operation is about something else.
    pub fn parse(kind: Kind, bytes: &'a [u8]) -> Result<Self, BranchBodyError> {
        let branches = match kind {
            Kind::TryBranches => Self::Try(access(bytes)?),
            Kind::ConfirmBranches => Self::Confirm(access(bytes)?),
            Kind::CancelBranches | Kind::LookupBranches => Self::Keys(access(bytes)?),
            _ => unreachable!("{kind:?} takes no branches"),
        };
        branches.check()?;
        Ok(branches)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Try(branches) => branches.len(),
            Self::Confirm(branches) => branches.len(),
            Self::Keys(branches) => branches.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key of one of them.
    #[inline(always)]
    #[must_use]
    pub fn key(&self, branch: usize) -> &'a ArchivedBranchKey {
        match self {
            Self::Try(branches) => &branches[branch].key,
            Self::Confirm(branches) => &branches[branch].key,
            Self::Keys(branches) => &branches[branch],
        }
    }

    /// Timestamps that the operation takes: one for each leg of a try. How many legs the others
    /// are about depends on the state, so they take as many as there could be.
    #[must_use]
    pub fn ticks(&self) -> usize {
        match self {
            Self::Try(branches) => branches.iter().map(|branch| branch.legs.len()).sum(),
            _ => (self.len() * BRANCH_EVENTS_MAX).min(MAX_TICKS),
        }
    }

    fn check(&self) -> Result<(), BranchBodyError> {
        let branches = self.len();
        if branches > BRANCHES_MAX {
            return Err(BranchBodyError::Branches { branches });
        }
        let mut events = 0;
        for branch in 0..branches {
            let key = self.key(branch);
            check_key(branch, key.gid.len(), key.branch_id.len())?;
            events += match self {
                Self::Try(branches) => check_legs(branch, branches[branch].legs.len())?,
                Self::Confirm(branches) => check_amounts(branch, branches[branch].amounts.len())?,
                Self::Keys(_) => 0,
            };
        }
        if events > EVENTS_MAX_UNBATCHED {
            return Err(BranchBodyError::Events { events });
        }
        Ok(())
    }
}

impl BranchKey {
    /// Checks that a request may have it.
    ///
    /// # Errors
    /// [`BranchBodyError::Text`].
    pub fn check(&self) -> Result<(), BranchBodyError> {
        check_key(0, self.gid.len(), self.branch_id.len())
    }
}

impl TryBranch {
    /// Checks that a request may have it; how many events it is.
    ///
    /// # Errors
    /// [`BranchBodyError::Text`] and [`BranchBodyError::Legs`].
    pub fn check(&self) -> Result<usize, BranchBodyError> {
        self.key.check()?;
        check_legs(0, self.legs.len())
    }
}

impl ConfirmBranch {
    /// Checks that a request may have it; how many events it is at least.
    ///
    /// # Errors
    /// [`BranchBodyError::Text`] and [`BranchBodyError::Legs`].
    pub fn check(&self) -> Result<usize, BranchBodyError> {
        self.key.check()?;
        check_amounts(0, self.amounts.len())
    }
}

fn check_key(branch: usize, gid: usize, branch_id: usize) -> Result<(), BranchBodyError> {
    check_text(branch, "gid", gid)?;
    check_text(branch, "branch_id", branch_id)
}

fn check_legs(branch: usize, legs: usize) -> Result<usize, BranchBodyError> {
    if legs == 0 || legs > BRANCH_LEGS_MAX {
        return Err(BranchBodyError::Legs { branch, legs });
    }
    Ok(legs)
}

/// The id that shows the branch's state counts, too.
fn check_amounts(branch: usize, legs: usize) -> Result<usize, BranchBodyError> {
    if legs > BRANCH_LEGS_MAX {
        return Err(BranchBodyError::Legs { branch, legs });
    }
    Ok(1 + legs.max(1))
}

fn check_text(branch: usize, field: &'static str, bytes: usize) -> Result<(), BranchBodyError> {
    if bytes == 0 || bytes > BRANCH_TEXT_BYTES_MAX {
        return Err(BranchBodyError::Text {
            branch,
            field,
            bytes,
        });
    }
    Ok(())
}

fn access<T>(bytes: &[u8]) -> Result<&[T], BranchBodyError>
where
    T: Portable + for<'b> CheckBytes<HighValidator<'b, Failure>>,
{
    let archive = rkyv::access::<ArchivedVec<T>, Failure>(bytes);
    let archive = archive.map_err(|Failure| BranchBodyError::Archive { bytes: bytes.len() })?;
    Ok(archive.as_slice())
}

/// The body of a request about these branches.
///
/// # Panics
/// Never: writing to memory does not fail.
#[must_use]
pub fn encode<T>(branches: &Vec<T>) -> Vec<u8>
where
    T: for<'b> Serialize<HighSerializer<Vec<u8>, ArenaHandle<'b>, Error>>,
{
    // About right, and growing would copy.
    let bytes = Vec::with_capacity(64 + branches.len() * size_of::<T>());
    to_bytes_in::<_, Error>(branches, bytes).expect("memory takes any archive")
}

/// One body of the branches of several, in their order.
///
/// # Errors
/// When one of them is not valid.
///
/// # Panics
/// When the operation is about something else.
pub fn merge<'a>(
    kind: Kind,
    bodies: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, BranchBodyError> {
    let (mut tries, mut confirms, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for body in bodies {
        match Branches::parse(kind, body)? {
            Branches::Try(more) => owned(more, &mut tries, body)?,
            Branches::Confirm(more) => owned(more, &mut confirms, body)?,
            Branches::Keys(more) => owned(more, &mut keys, body)?,
        }
    }
    Ok(match kind {
        Kind::TryBranches => encode::<TryBranch>(&tries),
        Kind::ConfirmBranches => encode::<ConfirmBranch>(&confirms),
        _ => encode::<BranchKey>(&keys),
    })
}

fn owned<A, T>(archived: &[A], out: &mut Vec<T>, body: &[u8]) -> Result<(), BranchBodyError>
where
    A: Deserialize<T, Strategy<Pool, Error>>,
{
    for branch in archived {
        let branch = rkyv::deserialize::<T, Error>(branch);
        out.push(branch.map_err(|_| BranchBodyError::Archive { bytes: body.len() })?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::super::Leg;
    use super::*;

    fn tries(legs: usize, gid: &str) -> Vec<TryBranch> {
        vec![TryBranch {
            key: BranchKey::new(gid, "01"),
            timeout: 7,
            legs: vec![Leg::default(); legs].into(),
        }]
    }

    #[test]
    fn a_body_is_read_wherever_it_lies() {
        let body = encode(&tries(3, "a gid that is not short"));
        let mut shifted = vec![0; body.len() + 16];
        for offset in 0..16 {
            let bytes = &mut shifted[offset..offset + body.len()];
            bytes.copy_from_slice(&body);
            let read = Branches::parse(Kind::TryBranches, bytes).unwrap();
            assert_eq!(read.ticks(), 3);
            assert_eq!(read.key(0).gid.as_str(), "a gid that is not short");
        }
    }

    #[test]
    fn merged_bodies_have_all_branches_in_order() {
        let bodies = [1, 2, 3].map(|legs| encode(&tries(legs, &format!("gid-{legs}"))));
        let bodies = bodies.iter().map(|body| &body[..]);
        let merged = merge(Kind::TryBranches, bodies).unwrap();
        let all: Vec<_> = [1, 2, 3]
            .into_iter()
            .flat_map(|legs| tries(legs, &format!("gid-{legs}")))
            .collect();
        assert_eq!(merged[..], encode(&all)[..]);
        assert!(merge(Kind::CancelBranches, [&[1_u8][..]].into_iter()).is_err());
    }

    #[test]
    fn each_fault_has_its_error() {
        let parse = |branches: Vec<TryBranch>| {
            let body = encode(&branches);
            Branches::parse(Kind::TryBranches, &body).map(|_| ())
        };
        assert_eq!(parse(tries(64, "g")), Ok(()));
        assert_eq!(parse(Vec::new()), Ok(()));
        let legs = |legs| Err(BranchBodyError::Legs { branch: 0, legs });
        assert_eq!(parse(tries(0, "g")), legs(0));
        assert_eq!(parse(tries(65, "g")), legs(65));
        let long = "g".repeat(129);
        for gid in ["", &long] {
            let bytes = gid.len();
            let text = BranchBodyError::Text {
                branch: 0,
                field: "gid",
                bytes,
            };
            assert_eq!(parse(tries(1, gid)), Err(text));
        }
        let many = |count| {
            let one = tries(1, "g");
            one.iter().cycle().take(count).cloned().collect::<Vec<_>>()
        };
        assert_eq!(parse(many(4095)), Ok(()));
        assert_eq!(
            parse(many(4096)),
            Err(BranchBodyError::Branches { branches: 4096 })
        );
        let wide: Vec<_> = (0..128).flat_map(|_| tries(64, "g")).collect();
        assert_eq!(parse(wide), Err(BranchBodyError::Events { events: 8192 }));
        let confirm = ConfirmBranch {
            key: BranchKey::new("g", "b"),
            amounts: smallvec![1; 65],
        };
        let body = encode(&vec![confirm]);
        assert_eq!(
            Branches::parse(Kind::ConfirmBranches, &body).map(|_| ()),
            Err(BranchBodyError::Legs {
                branch: 0,
                legs: 65
            })
        );
    }

    #[test]
    fn bytes_that_are_no_archive_are_refused_and_harmless() {
        let good = encode(&tries(2, "a gid that is not short"));
        for length in 0..good.len() {
            // The root is at the end: where that is zeros now, there is no branch.
            let cut = Branches::parse(Kind::TryBranches, &good[..length]);
            assert!(cut.is_err() || cut.is_ok_and(|cut| cut.is_empty()));
        }
        for at in 0..good.len() {
            for value in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut bad = good.clone();
                bad[at] = value;
                // It may still be an archive, of other content; reading all of it must be safe.
                if let Ok(read @ Branches::Try(branches)) = Branches::parse(Kind::TryBranches, &bad)
                {
                    let sum = branches.iter().flat_map(|branch| branch.legs.iter());
                    let _ = sum.fold(0_u128, |sum, leg| sum ^ leg.amount.to_native());
                    assert!(read.ticks() <= MAX_TICKS);
                }
            }
        }
    }
}
