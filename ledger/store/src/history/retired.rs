//! What was merged, until nobody else has it.
//!
//! Files are removed by name while the ledger's catalog, and those of readers, have them open yet.
//! The system frees their blocks when the last one closes them, and on some file systems tells the
//! disk of each: milliseconds, or seconds where the disk is busy. Filters are memory to be given
//! back. Payments must not wait for either, so the merger is always the last one to let go.

use std::any::Any;
use std::sync::Arc;

/// Files and filters that others may still use.
#[derive(Default)]
pub(super) struct Retired(Vec<Arc<dyn Any + Send + Sync>>);

impl Retired {
    /// These were replaced.
    pub(super) fn take<T: Any + Send + Sync>(
        &mut self,
        replaced: impl IntoIterator<Item = Arc<T>>,
    ) {
        let replaced = replaced.into_iter();
        self.0
            .extend(replaced.map(|one| one as Arc<dyn Any + Send + Sync>));
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lets go of what nobody else has.
    pub(super) fn let_go(&mut self) {
        // Who has none cannot get one again, so a count of one stays.
        self.0.retain(|one| Arc::strong_count(one) > 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;

    #[test]
    fn what_others_use_stays() {
        let mut retired = Retired::default();
        let (used, unused) = (Arc::new(1), Arc::new(2));
        let weak = [Arc::downgrade(&used), Arc::downgrade(&unused)];
        retired.take([Arc::clone(&used), unused]);
        let live = || weak.each_ref().map(Weak::strong_count);
        assert_eq!(live(), [2, 1]);
        retired.let_go();
        assert_eq!(live(), [2, 0]);
        drop(used);
        assert_eq!(live(), [1, 0], "whoever used it was not the last one");
        retired.let_go();
        assert_eq!(live(), [0, 0]);
    }
}
