//! The socket in a replica's directory: one line of JSON each way.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use giro_server::Commander;

use super::words::{Answered, Asked};

/// How long either side may take to say its line.
const LINE_MAX: Duration = Duration::from_secs(10);
/// Bytes of a line.
const LINE_BYTES_MAX: u64 = 1 << 20;

const NAME: &str = "giro.sock";

/// The socket's path by way of the open directory: those of sockets have 107 bytes at most, and a
/// directory's may have more.
fn short_path(dir: &Path) -> anyhow::Result<(File, PathBuf)> {
    let open = File::open(dir).with_context(|| format!("cannot open {}", dir.display()))?;
    let path = format!("/proc/self/fd/{}/{NAME}", open.as_raw_fd());
    Ok((open, path.into()))
}

/// Takes orders for the replica in `dir`, on a thread of its own, until the process ends. Whoever
/// calls holds the directory's lock. The commander may be exchanged when the directory is opened
/// again.
pub(crate) fn listen(dir: &Path, commander: Arc<Mutex<Commander>>) -> anyhow::Result<()> {
    let (_open, path) = short_path(dir)?;
    let shown = dir.join(NAME).display().to_string();
    // One of a process that was killed.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path);
    let listener = listener.with_context(|| format!("cannot listen on {shown}"))?;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, private).with_context(|| format!("cannot protect {shown}"))?;
    let thread = std::thread::Builder::new().name("giro-orders".into());
    thread.spawn(move || {
        for stream in listener.incoming().flatten() {
            let current = commander.lock().expect("nobody panics with it").clone();
            if let Err(error) = serve(&stream, &current) {
                tracing::warn!(%error, "an order could not be taken");
            }
        }
    })?;
    Ok(())
}

fn serve(stream: &UnixStream, commander: &Commander) -> anyhow::Result<()> {
    let line = read_line(stream)?;
    let answer = match serde_json::from_str::<Asked>(&line) {
        Ok(asked) => Answered::from(commander.order(asked.to_order())),
        Err(error) => Answered::Refused(format!("this is no order: {error}")),
    };
    write_line(stream, &serde_json::to_string(&answer)?)
}

/// Gives an order to the replica in `dir`.
///
/// # Errors
/// When it does not run, or does not answer.
pub(crate) fn ask(dir: &Path, asked: &Asked) -> anyhow::Result<Answered> {
    let (_open, path) = short_path(dir)?;
    let stream = UnixStream::connect(path).context(
        "no replica of a group runs there: start it with `giro start` (a ledger that is alone \
         takes no orders; `giro cluster found` makes it a group of one)",
    )?;
    write_line(&stream, &serde_json::to_string(asked)?)?;
    Ok(serde_json::from_str(&read_line(&stream)?)?)
}

fn read_line(stream: &UnixStream) -> anyhow::Result<String> {
    stream.set_read_timeout(Some(LINE_MAX))?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line)?;
    Ok(line)
}

fn write_line(mut stream: &UnixStream, text: &str) -> anyhow::Result<()> {
    stream.set_write_timeout(Some(LINE_MAX))?;
    stream.write_all(format!("{text}\n").as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_a_long_path_has_its_socket() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("d".repeat(200));
        std::fs::create_dir(&dir).unwrap();
        let (_open, path) = short_path(&dir).unwrap();
        let listener = UnixListener::bind(path).unwrap();
        let (_again, path) = short_path(&dir).unwrap();
        UnixStream::connect(path).unwrap();
        listener.accept().unwrap();
        assert!(dir.join(NAME).exists());
    }
}
