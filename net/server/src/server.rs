//! Opening the port, running it, and stopping it from elsewhere.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use giro::Engine;
use giro_base::BufferPool;

use giro_wire::Address;
use rustix::event::{EventfdFlags, eventfd};
use socket2::{Domain, Socket, Type};

use crate::address::resolve;
use crate::counters::{Counters, Snapshot};
use crate::engine::ServedEngine;
use crate::error::{BindError, ServerError};
use crate::handover::Crew;
use crate::ledger::Ledger;
use crate::options::{Options, REACTORS_MAX};
use crate::port::{Port, Turn};
use crate::reactor::Reactor;

/// Connections the kernel keeps for us until we accept them.
const BACKLOG: i32 = 4096;

/// A port that listens. Connections wait in the kernel until [`Server::run`].
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    control: Arc<Control>,
}

/// Stops a running server and reads its counters; for any thread.
#[derive(Clone)]
pub struct Handle {
    control: Arc<Control>,
}

/// What the reactor shares with other threads.
pub(crate) struct Control {
    pub(crate) stop: AtomicBool,
    pub(crate) wake: OwnedFd,
    pub(crate) counters: Arc<Counters>,
}

impl Server {
    /// Listens on the first of the host's addresses that works. Port 0 chooses a free one.
    ///
    /// # Errors
    /// [`BindError`] with the last address's reason, or the name's.
    pub fn bind(address: &Address) -> Result<Self, BindError> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| BindError::System(errno.into()))?;
        let mut failed = None;
        for candidate in resolve(address)? {
            match listen(candidate) {
                Ok((listener, address)) => {
                    return Ok(Self {
                        listener,
                        address,
                        control: Arc::new(Control {
                            stop: AtomicBool::new(false),
                            wake,
                            counters: Arc::default(),
                        }),
                    });
                }
                Err(source) => {
                    failed = Some(BindError::Listen {
                        address: candidate,
                        source,
                    });
                }
            }
        }
        Err(failed.expect("a host that resolves has an address"))
    }

    /// The listener for other nodes of a group, on the first of the host's addresses that works.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn listen_for_peers(address: &Address) -> Result<TcpListener, BindError> {
        Ok(Self::bind(address)?.listener)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle on the server, also while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle {
            control: Arc::clone(&self.control),
        }
    }

    /// The same port once more: for a ledger that is opened again when this one is over.
    /// Connections wait in the kernel meanwhile.
    ///
    /// # Errors
    /// The system's, when it has no descriptor left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            listener: self.listener.try_clone()?,
            address: self.address,
            control: Arc::clone(&self.control),
        })
    }

    /// Serves the ledger of `engine` until [`Handle::stop`]; then finishes and answers what was
    /// taken.
    ///
    /// # Errors
    /// Those that end the process: of the log, of the ring.
    pub fn serve(self, engine: Engine, options: &Options) -> Result<(), ServerError<giro::Error>> {
        let pool = engine.pool().clone();
        self.run(ServedEngine::new(engine), &pool, options)
    }

    /// The same for any ledger. Messages are received into buffers of `pool`, which the ledger's
    /// log writes from.
    ///
    /// # Errors
    /// Those that end the process: of the ledger, of the ring.
    pub fn run<L: Ledger>(
        self,
        ledger: L,
        pool: &BufferPool,
        options: &Options,
    ) -> Result<(), ServerError<L::Error>> {
        let Self {
            listener, control, ..
        } = self;
        let counters = Arc::clone(&control.counters);
        let threads = options.reactors.clamp(1, REACTORS_MAX) - 1;
        if threads == 0 {
            let port = |_: &Turn| Ok(Port::new(pool.clone(), counters, options));
            return Reactor::new(listener, control, ledger, pool, options, port)?.run();
        }
        let crew = |turn: &Turn| Crew::start(threads, turn, pool.clone(), counters, options);
        Reactor::new(listener, control, ledger, pool, options, crew)?.run()
    }
}

impl Handle {
    /// Whether the server was asked to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.control.stop.load(Ordering::Acquire)
    }

    /// Asks the server to stop. It accepts nothing more, answers what it has taken, and returns
    /// from [`Server::run`].
    pub fn stop(&self) {
        self.control.stop.store(true, Ordering::Release);
        // Fails only when the counter is full of wake-ups that have not been seen yet.
        let _ = rustix::io::write(&self.control.wake, &1_u64.to_le_bytes());
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> Snapshot {
        self.control.counters.snapshot()
    }
}

fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restart must not wait for the connections of the last run to be forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener: TcpListener = socket.into();
    let address = listener.local_addr()?;
    Ok((listener, address))
}
