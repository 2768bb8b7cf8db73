//! What all requests share.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use giro_client::Client;
use tokio::sync::Semaphore;

use crate::book::Book;
use crate::error::ApiError;
use crate::extract;
use crate::metrics::Metrics;
use crate::observe::Marked;
use crate::options::Options;
use crate::shadow::World;

/// How long the ledger may take to show that it answers.
const READY_DEADLINE: Duration = Duration::from_secs(1);

/// The state behind every route.
pub(crate) struct App {
    pub(crate) options: Options,
    pub(crate) metrics: Metrics,
    /// Memory for bodies that are being received.
    pub(crate) body_budget: Arc<Semaphore>,
    client: OnceLock<Client>,
}

impl App {
    pub(crate) fn new(options: Options, metrics: Metrics) -> Self {
        let steps = extract::budget_steps(options.bodies_bytes_max);
        Self {
            body_budget: Arc::new(Semaphore::new(steps.min(Semaphore::MAX_PERMITS))),
            metrics,
            client: OnceLock::new(),
            options,
        }
    }

    /// The ledger answers: requests are taken from now on.
    pub(crate) fn ready(&self, client: Client) {
        // Only the task that connects calls this, once.
        let is_first = self.client.set(client).is_ok();
        assert!(is_first, "a gateway connects once");
    }

    /// The client on the ledger.
    ///
    /// # Errors
    /// Busy until the ledger has answered once.
    pub(crate) fn client(&self) -> Result<&Client, ApiError> {
        let client = self.client.get();
        client.ok_or_else(|| ApiError::busy("the ledger does not answer yet"))
    }

    /// The ledger as a request sees it.
    ///
    /// # Errors
    /// As [`Self::client`].
    pub(crate) fn book(
        &self,
        marked: Option<Marked>,
        deadline: Duration,
    ) -> Result<Book, ApiError> {
        let world = self.options.shadow_ledgers.map(|offset| World {
            offset,
            is_shadow: marked.is_some(),
        });
        Ok(Book::new(self.client()?, deadline, world))
    }

    /// That the ledger answers.
    pub(crate) async fn is_ready(&self) -> Result<(), ApiError> {
        let client = self.client()?.with_deadline(READY_DEADLINE);
        // Whether there is such an account does not matter.
        client.lookup_accounts(&[1]).await?;
        Ok(())
    }
}
