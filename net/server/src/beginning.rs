//! What the log says of a group that has not begun.

use giro_replication::RollStatus;

/// What was said last.
#[derive(Default)]
pub(crate) struct Beginning {
    said: Option<String>,
}

impl Beginning {
    /// Says what changed.
    pub(crate) fn look(&mut self, roll: Option<RollStatus>) {
        let now = roll.as_ref().map(ToString::to_string);
        let was = std::mem::replace(&mut self.said, now);
        if was == self.said {
            return;
        }
        match (roll, &self.said) {
            (Some(roll), Some(why)) if roll.needs_somebody() => tracing::warn!("{why}"),
            (_, Some(why)) => tracing::info!("{why}"),
            (_, None) => tracing::info!("the group has begun"),
        }
    }
}
