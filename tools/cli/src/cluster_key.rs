//! The file with the secret that the replicas of a group share.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, bail};
use tempfile::NamedTempFile;

/// The secret in the file, which is made with the secret of `make` when it is not there.
///
/// # Errors
/// When the file can be neither read nor made, or has no secret.
pub(crate) fn read_or_make(
    path: &Path,
    make: impl FnOnce() -> io::Result<[u64; 2]>,
) -> anyhow::Result<[u64; 2]> {
    let shown = path.display();
    if !path.exists() {
        let key = make().context("no random numbers")?;
        let made = make_file(path, key);
        if made.with_context(|| format!("cannot make the secret {shown}"))? {
            return Ok(key);
        }
    }
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read the secret {shown}"))?;
    let key = u128::from_str_radix(text.trim(), 16).ok();
    let Some(key) = key.filter(|_| text.trim().len() == 32) else {
        bail!("{shown} is no secret of a cluster: 32 hexadecimal digits are expected");
    };
    Ok([(key >> 64) as u64, key as u64])
}

/// Makes the file, whole or not at all. False when somebody else was faster.
fn make_file(path: &Path, [high, low]: [u64; 2]) -> io::Result<bool> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // Readable by its owner alone.
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(format!("{high:016x}{low:016x}\n").as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error.error),
    }
    File::open(folder)?.sync_all()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_it_was_made_and_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = [0x1, u64::MAX];
        assert_eq!(read_or_make(&path, || Ok(key)).unwrap(), key);
        let again = read_or_make(&path, || panic!("it is there")).unwrap();
        assert_eq!(again, key);
        std::fs::write(&path, "12 34").unwrap();
        let wrong = read_or_make(&path, || Ok(key)).unwrap_err().to_string();
        assert!(wrong.contains("32 hexadecimal digits"), "{wrong}");
    }
}
