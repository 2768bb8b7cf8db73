//! Files of the operating system.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate};
use rustix::io::Errno;

use super::{Access, Removed, Storage, StorageFile, release};

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealStorage;

/// None only while it is being closed.
struct RealFile(Option<File>);

impl Storage for RealStorage {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = std::path::absolute(dir)?;
        let missing = dir.ancestors().take_while(|dir| !dir.exists()).count();
        fs::create_dir_all(&dir)?;
        let above = dir.ancestors().skip(1).take(missing);
        above.into_iter().try_for_each(|dir| self.sync_dir(dir))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let mut options = OpenOptions::new();
        // Nobody else may read them: they hold a secret, and everybody's money.
        options.write(true).create(true).truncate(true).mode(0o600);
        Ok(Box::new(RealFile(Some(open_direct(
            &mut options,
            path,
            0,
        )?))))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        let mut options = OpenOptions::new();
        let file = match access {
            Access::Read => {
                let file = options.read(true).open(path)?;
                // Only a hint: without it the kernel reads ahead less.
                let _ = fadvise(&file, 0, None, Advice::Sequential);
                file
            }
            Access::Random => {
                let file = options.read(true).open(path)?;
                // Only a hint: without it the kernel reads more than is asked for.
                let _ = fadvise(&file, 0, None, Advice::Random);
                file
            }
            Access::Write => open_direct(options.write(true), path, 0)?,
            Access::Log => {
                let file = open_direct(options.write(true), path, libc::O_DSYNC)?;
                // Recovery read it through the page cache. What stays there must be invalidated
                // at each write, which the ring cannot do without a thread of the kernel's.
                let _ = fadvise(&file, 0, None, Advice::DontNeed);
                file
            }
        };
        Ok(Box::new(RealFile(Some(file))))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            // A name that is no text is none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut new = to.as_os_str().to_owned();
        new.push(".link");
        // One may be left of a process that ended in between.
        let _ = fs::remove_file(&new);
        fs::hard_link(from, &new)?;
        fs::rename(&new, to)
    }

    fn remove(&self, path: &Path) -> io::Result<Removed> {
        // One that can't be opened, or is no file, is removed, too.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(flags)
            .open(path)
            .ok();
        fs::remove_file(path)?;
        let _file = file.map(|file| Box::new(RealFile(Some(file))) as _);
        Ok(Removed { _file })
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

/// Opens for writes past the page cache; through it where the file system knows no direct I/O
/// (older tmpfs), which is as safe and slower.
fn open_direct(options: &mut OpenOptions, path: &Path, flags: i32) -> io::Result<File> {
    match options.custom_flags(libc::O_DIRECT | flags).open(path) {
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
            tracing::warn!(path = %path.display(), "this file system has no direct I/O");
            options.custom_flags(flags).open(path)
        }
        opened => opened,
    }
}

impl RealFile {
    fn file(&self) -> &File {
        self.0.as_ref().expect("it is open until it is dropped")
    }
}

impl Drop for RealFile {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(release::close);
    }
}

impl StorageFile for RealFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            match self
                .file()
                .read_at(&mut bytes[done..], offset + done as u64)
            {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn prefetch(&self, offset: u64, bytes: u64) {
        // Only a hint.
        let _ = fadvise(
            self.file(),
            offset,
            NonZeroU64::new(bytes),
            Advice::WillNeed,
        );
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file().write_all_at(bytes, offset)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        match fallocate(self.file(), FallocateFlags::empty(), 0, bytes) {
            // Some file systems can't; the zeros written next do it too.
            Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.file().sync_all()
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.file().metadata()?.len())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file().as_fd())
    }
}
