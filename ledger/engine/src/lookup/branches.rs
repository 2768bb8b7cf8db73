//! Where branches stand: the open ones from memory, the others from what their ids stand for.

use giro_base::branch::{BranchId, BranchInfo, Branches, LegKind};
use giro_base::limits::BRANCH_LEGS_MAX;
use giro_base::operation::Kind;
use giro_core::StateMachine;
use giro_core::branches::{Known, PROBES, has_further_leg, is_leg, probes, settled_info};
use giro_store::{Catalog, StoreError};
use zerocopy::IntoBytes;

use super::ids::Ids;
use crate::past::Past;
use crate::reading::ReadTurn;

/// Branches that are looked up.
pub(super) struct OfBranches {
    /// What there is to say of each that was open.
    open: Vec<Option<BranchInfo>>,
    /// The others.
    settled: Vec<Settled>,
    /// What became of them.
    probes: Ids,
    /// Number of the legs that are being looked for; 0 while it is the probes.
    leg: usize,
    /// Whose these are, by their places in `settled`: all whose leg before has another behind it.
    chain: Vec<usize>,
    /// One leg of each.
    legs: Ids,
}

struct Settled {
    id: BranchId,
    /// Legs behind the first one.
    further: usize,
    /// Memory has nothing of it. All legs of a branch are of one operation, so either memory has
    /// them, or the history.
    is_past: bool,
}

impl OfBranches {
    /// The branches of a body. What memory has of them is taken now.
    pub(super) fn new(machine: &StateMachine, has_past: bool, body: &[u8]) -> Self {
        let branches = Branches::parse(Kind::LookupBranches, body);
        let branches = branches.expect("validated where it came in");
        let (mut open, mut settled) = (Vec::new(), Vec::new());
        for branch in 0..branches.len() {
            let key = branches.key(branch);
            let id = BranchId::of(key.gid.as_str(), key.branch_id.as_str());
            let info = machine.open_branch_info(id);
            if info.is_none() {
                settled.push(id);
            }
            open.push(info);
        }
        let ids = settled.iter().flat_map(|id| probes(*id));
        let probes = Ids::of_all(machine, has_past, ids);
        let firsts = probes.known.iter().step_by(PROBES);
        let settled = settled.into_iter().zip(firsts).map(|(id, first)| Settled {
            id,
            further: further_in_memory(machine, id, *first),
            is_past: *first == Known::Nothing,
        });
        Self {
            open,
            settled: settled.collect(),
            probes,
            leg: 0,
            chain: Vec::new(),
            legs: Ids::default(),
        }
    }

    /// Goes on, as much as the turn allows. True when all is known.
    pub(super) fn step(
        &mut self,
        past: &mut Past,
        catalog: &Catalog,
        turn: &mut ReadTurn,
    ) -> Result<bool, StoreError> {
        if self.leg == 0 {
            if !self.probes.step(past, catalog, turn)? {
                return Ok(false);
            }
            let firsts = self.probes.known.iter().step_by(PROBES);
            let chain = firsts.zip(&self.settled).enumerate();
            let chain = chain
                .filter(|(_, (first, settled))| settled.is_past && has_further_leg(first))
                .map(|(place, _)| place);
            self.chain = chain.collect();
            self.ask_next();
        }
        while !self.chain.is_empty() {
            if !self.legs.step(past, catalog, turn)? {
                return Ok(false);
            }
            let mut known = self.legs.known.iter();
            let settled = &mut self.settled;
            self.chain.retain(|place| {
                let leg = known.next().expect("one for each");
                settled[*place].further += usize::from(is_leg(leg));
                has_further_leg(leg)
            });
            self.ask_next();
        }
        Ok(true)
    }

    /// The next legs: the same one of all branches that have it, so that they wait for the disk
    /// together.
    fn ask_next(&mut self) {
        self.leg += 1;
        if self.leg == BRANCH_LEGS_MAX {
            self.chain.clear();
        }
        let (settled, leg) = (&self.settled, self.leg);
        let id = |place: &usize| settled[*place].id.leg(LegKind::Reserve, leg);
        self.legs = Ids::of_past(self.chain.iter().map(id));
    }

    /// Writes what there is to say of each branch to `out`; returns how many bytes.
    pub(super) fn write(&self, out: &mut [u8]) -> usize {
        let known = self.probes.known.chunks_exact(PROBES);
        let mut settled = self.settled.iter().zip(known);
        let rows = out.chunks_exact_mut(size_of::<BranchInfo>());
        let written = rows.zip(&self.open).map(|(row, open)| {
            let info = open.unwrap_or_else(|| {
                let (settled, known) = settled.next().expect("one for each that is not open");
                settled_info(settled.id, known, settled.further)
            });
            row.copy_from_slice(info.as_bytes());
            size_of::<BranchInfo>()
        });
        written.sum()
    }
}

/// How many legs a branch has in memory behind its first one.
fn further_in_memory(machine: &StateMachine, id: BranchId, first: Known) -> usize {
    let mut last = first;
    let legs = (1..BRANCH_LEGS_MAX).map_while(|leg| {
        let has_more = has_further_leg(&last);
        has_more.then(|| {
            last = machine.known(id.leg(LegKind::Reserve, leg));
            is_leg(&last)
        })
    });
    legs.take_while(|is_leg| *is_leg).count()
}
