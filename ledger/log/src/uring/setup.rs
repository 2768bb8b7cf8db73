//! Making a ring with the best mode the kernel has, and saying what to do when it has none.

use std::io;

use io_uring::IoUring;

/// Why there is no ring.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The system call does not exist.
    #[error(
        "this kernel has no io_uring: Giro needs Linux 5.19 or newer with CONFIG_IO_URING \
         (some sandboxes, such as gVisor, don't have it either)"
    )]
    Missing,
    /// The system call is refused.
    #[error(
        "io_uring is blocked here: if this is a container, allow it (Docker: --security-opt \
         seccomp=unconfined, or a seccomp profile with io_uring_setup, io_uring_enter and \
         io_uring_register); otherwise set kernel.io_uring_disabled to 0 with sysctl (it is {0})"
    )]
    Blocked(String),
    /// The kernel is older than what the reactors use.
    #[error("this kernel's io_uring is too old: Giro needs Linux 5.19 or newer")]
    TooOld,
    /// Memory for the rings is refused.
    #[error(
        "no memory for io_uring's queues: raise the locked memory limit (ulimit -l, \
         LimitMEMLOCK= in a systemd unit) or free memory"
    )]
    Memory,
}

impl SetupError {
    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Missing | Self::TooOld => io::ErrorKind::Unsupported,
            Self::Blocked(_) => io::ErrorKind::PermissionDenied,
            Self::Memory => io::ErrorKind::OutOfMemory,
        }
    }
}

impl From<SetupError> for io::Error {
    fn from(error: SetupError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// How completions are delivered, best first. Older kernels refuse what they don't know.
#[derive(Clone, Copy)]
enum Mode {
    /// Completions are worked on when this thread asks for them, never in between.
    Deferred,
    /// This thread is not interrupted for them.
    Cooperative,
    Plain,
}

/// A ring of `entries` submissions and eight times as many completions.
pub(super) fn build(entries: u32) -> io::Result<IoUring> {
    let mut refused = None;
    for mode in [Mode::Deferred, Mode::Cooperative, Mode::Plain] {
        match build_mode(entries, mode) {
            Ok(uring)
                if uring.params().is_feature_ext_arg() && uring.params().is_feature_nodrop() =>
            {
                return Ok(uring);
            }
            Ok(_) => return Err(SetupError::TooOld.into()),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => refused = Some(error),
            Err(error) => return Err(explain(error)),
        }
    }
    Err(refused.unwrap_or_else(|| SetupError::TooOld.into()))
}

fn build_mode(entries: u32, mode: Mode) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_clamp();
    // Multishot accepts and a completion for every receive: more completions than submissions.
    builder.setup_cqsize(entries.saturating_mul(8));
    match mode {
        Mode::Deferred => {
            builder
                .setup_submit_all()
                .setup_coop_taskrun()
                .setup_single_issuer();
            builder.setup_defer_taskrun().setup_taskrun_flag();
        }
        Mode::Cooperative => {
            builder
                .setup_submit_all()
                .setup_coop_taskrun()
                .setup_taskrun_flag();
        }
        Mode::Plain => {}
    }
    builder.build(entries)
}

fn explain(error: io::Error) -> io::Error {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSYS) => SetupError::Missing.into(),
        Some(Errno::PERM | Errno::ACCESS) => {
            let setting = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
            let setting = setting.map_or_else(|_| "not there".to_owned(), |s| s.trim().to_owned());
            SetupError::Blocked(setting).into()
        }
        Some(Errno::NOMEM) => SetupError::Memory.into(),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        let of =
            |errno: rustix::io::Errno| explain(io::Error::from_raw_os_error(errno.raw_os_error()));
        let blocked = of(rustix::io::Errno::PERM);
        assert_eq!(blocked.kind(), io::ErrorKind::PermissionDenied);
        assert!(blocked.to_string().contains("seccomp"));
        assert!(blocked.to_string().contains("kernel.io_uring_disabled"));
        assert!(of(rustix::io::Errno::NOSYS).to_string().contains("5.19"));
        assert!(
            of(rustix::io::Errno::NOMEM)
                .to_string()
                .contains("ulimit -l")
        );
        assert_eq!(of(rustix::io::Errno::MFILE).raw_os_error(), Some(24));
    }
}
