//! The thread and its listener.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use giro_client::{Client, ClientOptions};
use prometheus_client::collector::Collector;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::app::App;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::{connection, routes};

/// Pause after a connection could not be accepted: the process has too many open files, or the
/// like, which passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Pause between attempts to open the first session.
const CONNECT_PAUSE: Duration = Duration::from_millis(200);
/// What is answered to a connection beyond the most.
const TURNED_AWAY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
    connection: close\r\ncontent-length: 0\r\n\r\n";

/// Why there is no gateway.
#[derive(Debug, Error)]
pub enum GatewayError {
    /// The port could not be had.
    #[error("cannot listen for HTTP on {address}: {source}; choose another with --http")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no thread or no event queue.
    #[error("cannot start the thread for HTTP: {0}")]
    Start(io::Error),
}

/// A gateway that serves until it is stopped or dropped.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Gateway {
    /// Listens on `http`, and serves it on a thread of its own as a client of `ledger`, the
    /// address of the binary port, or those of all replicas with commas between them. It may be
    /// started before the ledger answers: requests are refused as busy until then. What `metrics`
    /// collect stands on the page for Prometheus, too.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub fn start(
        http: SocketAddr,
        ledger: &impl ToString,
        options: Options,
        metrics: Vec<Box<dyn Collector>>,
    ) -> Result<Self, GatewayError> {
        let ledger = reachable(ledger.to_string());
        let bind = || {
            let listener = StdListener::bind(http)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let failed = |source| GatewayError::Listen {
            address: http,
            source,
        };
        let (listener, address) = bind().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(GatewayError::Start)?;
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new()
            .name("giro-http".into())
            .spawn(move || {
                let app = App::new(options, Metrics::new(metrics));
                let served = runtime.block_on(serve(listener, ledger, app, stopped));
                if let Err(error) = served {
                    tracing::error!(%error, "HTTP is not served");
                }
            })
            .map_err(GatewayError::Start)?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets requests in flight be answered for
    /// [`Options::drain_timeout`], and waits for the end. Call it before the ledger stops.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the thread of HTTP does not panic"
            );
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where a port that may listen everywhere can be reached from here.
fn reachable(addresses: String) -> String {
    let Ok(mut address) = addresses.parse::<SocketAddr>() else {
        return addresses;
    };
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address.to_string()
}

async fn serve(
    listener: StdListener,
    ledger: String,
    app: App,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let app = Arc::new(app);
    let router = routes::router(&app);
    let room = Arc::new(Semaphore::new(app.options.connections_max));
    tokio::spawn(connect(Arc::clone(&app), ledger));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop_asked(&mut stopped) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection for HTTP could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            app.metrics.turned_away.inc();
            // As far as it goes: who is turned away is not waited for.
            let _sent = stream.try_write(TURNED_AWAY);
            continue;
        };
        tokio::spawn(connection::serve(
            stream,
            Arc::clone(&app),
            router.clone(),
            stopped.clone(),
            permit,
        ));
    }
    drop(listener);
    // Every connection gives its room back.
    let all = u32::try_from(app.options.connections_max).unwrap_or(u32::MAX);
    let drained = tokio::time::timeout(app.options.drain_timeout, room.acquire_many(all)).await;
    if drained.is_err() {
        tracing::warn!("connections of HTTP were cut at the stop");
    }
    Ok(())
}

/// Opens the first session. From then on the client connects again by itself.
async fn connect(app: Arc<App>, ledger: String) {
    let options = ClientOptions {
        cluster: app.options.cluster,
        sessions_max: app.options.sessions_max,
        ..ClientOptions::default()
    };
    loop {
        match Client::connect(&ledger, options.clone()).await {
            Ok(client) => return app.ready(client),
            Err(error) => tracing::warn!(%error, "the gateway has no session yet"),
        }
        tokio::time::sleep(CONNECT_PAUSE).await;
    }
}

/// Waits until the gateway is to stop.
pub(crate) async fn stop_asked(stopped: &mut watch::Receiver<bool>) {
    // An error is the handle's end, which asks to stop, too.
    drop(stopped.wait_for(|is_stopped| *is_stopped).await);
}
