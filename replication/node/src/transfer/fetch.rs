//! The receiver: a checkpoint's files, into a directory beside the history.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use giro_log::Identity;
use giro_log::storage::Storage;
use giro_store::copy::{copy_file, fingerprint, make_file};
use giro_store::page::{FileTag, Kind, PAGE_BYTES, open};
use giro_store::reader::{Expected, PageFile};
use giro_store::{History, Names};
use zerocopy::IntoBytes;

use super::block::{self, read_block, write_block};
use super::error::TransferError;
use super::install::{incoming, incoming_dir};
use super::listing::{LISTING_BYTES_MAX, ListedFile, decode_listing};
use crate::mark::GroupMark;

/// Fetches one checkpoint. It shares nothing with the replica, so it can be given to a thread of
/// its own.
#[derive(Clone)]
pub struct Fetcher {
    pub(crate) storage: Arc<dyn Storage>,
    /// The node's directory.
    pub(crate) dir: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) index: u64,
    pub(crate) term: u64,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Bytes that are here, from earlier attempts too.
    pub bytes: u64,
    /// Bytes of all files.
    pub bytes_total: u64,
    /// Of these bytes, those that came over this connection.
    pub received: u64,
}

impl Fetcher {
    /// The entry that the checkpoint is at.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The term of that entry.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.term
    }

    /// Fetches what is not here yet, checks that it is the whole checkpoint, and makes it durable.
    /// `goes_on` hears how far it is, and ends it by saying no. Waits for the other side and the
    /// disk.
    ///
    /// # Errors
    /// [`TransferError`]; whole files stay for the next attempt.
    pub fn fetch(
        &self,
        stream: &mut (impl Read + Write),
        goes_on: &mut dyn FnMut(Fetched) -> bool,
    ) -> Result<Fetched, TransferError> {
        let listing = read_block(stream, block::Kind::Listing, LISTING_BYTES_MAX)?;
        let files = decode_listing(&listing)?;
        let place = incoming_dir(&self.dir, self.index);
        let names = Names::new(&place);
        self.prepare(&place, &names, &files)?;
        let bytes_total = files.iter().map(ListedFile::bytes).sum();
        let mut at = Fetched {
            bytes_total,
            ..Fetched::default()
        };
        let mut wanted = Vec::new();
        for (number, file) in files.iter().enumerate() {
            if self.is_here(&names, file)? {
                at.bytes += file.bytes();
            } else {
                wanted.push(number);
            }
        }
        let numbers = wanted
            .iter()
            .flat_map(|place| (*place as u32).to_le_bytes());
        write_block(stream, block::Kind::Wanted, &numbers.collect::<Vec<u8>>())?;
        for place in wanted {
            self.receive(stream, &names, &files[place], &mut at, goes_on)?;
        }
        self.check(&place, &names)?;
        // The sender only wants to know; the checkpoint is here.
        let _ = write_block(stream, block::Kind::Whole, &[]);
        Ok(at)
    }

    /// Makes the directories, and removes files that are not listed: another node's, or merged
    /// since.
    fn prepare(
        &self,
        place: &Path,
        names: &Names,
        files: &[ListedFile],
    ) -> Result<(), TransferError> {
        let listed: HashSet<PathBuf> = files.iter().map(|file| path_of(names, file)).collect();
        let dirs = [&names.segments, &names.ids, &names.checkpoints];
        let make = |dir: &Path| {
            let made = self.storage.create_dir(dir);
            made.map_err(TransferError::dir("create", dir))
        };
        make(place)?;
        for dir in dirs {
            make(dir)?;
        }
        for dir in dirs {
            let found = self.storage.list(dir);
            for name in found.map_err(TransferError::dir("list", dir))? {
                let path = dir.join(name);
                if !listed.contains(&path) && !dirs.contains(&&path) {
                    let removed = self.storage.remove(&path);
                    drop(removed.map_err(TransferError::dir("remove", &path))?);
                }
            }
        }
        Ok(())
    }

    /// Whether a file is here from an earlier attempt. One at another entry gets a second name: the
    /// sender waits, and copying a large history takes longer than it does.
    fn is_here(&self, names: &Names, file: &ListedFile) -> Result<bool, TransferError> {
        let path = path_of(names, file);
        if self.matching(&path, file).is_some() {
            return Ok(true);
        }
        for (index, dir) in incoming(&*self.storage, &self.dir)? {
            let other = path_of(&Names::new(&dir), file);
            if index != self.index
                && let Some(found) = self.matching(&other, file)
            {
                if self.storage.link(&other, &path).is_ok() {
                    return Ok(true);
                }
                // One that was damaged meanwhile comes from the sender.
                return Ok(copy_file(&found, &*self.storage, &path, &mut |_| {}).is_ok());
            }
        }
        Ok(false)
    }

    fn matching(&self, path: &Path, file: &ListedFile) -> Option<PageFile> {
        let (found, _) = PageFile::open(&*self.storage, path, self.expected(file)).ok()?;
        let is_it = found.pages() == file.pages && fingerprint(&found).ok()? == file.fingerprint;
        is_it.then_some(found)
    }

    fn expected(&self, file: &ListedFile) -> Expected {
        Expected {
            cluster: self.identity.cluster,
            kind: file.kind,
            first: file.first,
            last: file.last,
        }
    }

    /// Receives a file; each page is checked before it is written.
    fn receive(
        &self,
        stream: &mut impl Read,
        names: &Names,
        file: &ListedFile,
        at: &mut Fetched,
        goes_on: &mut dyn FnMut(Fetched) -> bool,
    ) -> Result<(), TransferError> {
        let path = path_of(names, file);
        let tag = FileTag::new(self.identity.cluster, file.kind, file.first, file.last);
        make_file(&*self.storage, &path, file.pages, &mut |first, pages| {
            let received = stream.read_exact(pages.as_mut_bytes());
            received.map_err(TransferError::link("receive"))?;
            for (page, number) in pages.iter().zip(first..) {
                if open(page, tag, number).is_none() {
                    let path = path.clone();
                    return Err(TransferError::Page { path, page: number });
                }
            }
            let bytes = (pages.len() * PAGE_BYTES) as u64;
            at.bytes += bytes;
            at.received += bytes;
            goes_on(*at).then_some(()).ok_or(TransferError::Stopped)
        })?;
        if self.matching(&path, file).is_some() {
            return Ok(());
        }
        let removed = self.storage.remove(&path);
        drop(removed.map_err(TransferError::dir("remove", &path))?);
        Err(TransferError::Bad("a file is not the one that was listed"))
    }

    /// What is here is the checkpoint that was offered, whole; and it is durable, with its names.
    fn check(&self, place: &Path, names: &Names) -> Result<(), TransferError> {
        let whose = giro_store::Identity {
            cluster: self.identity.cluster,
            hash_key: self.identity.hash_key,
        };
        let storage = Arc::clone(&self.storage);
        let mut history = History::open_read_only(storage, place, whose)?;
        let catalog = Arc::clone(history.catalog());
        let whole = catalog.checkpoint();
        let whole = whole.ok_or(TransferError::Bad("it has no checkpoint"))?;
        let mark = GroupMark::decode(&whole.group(history.reader())?);
        let is_it = |mark: GroupMark| (mark.index, mark.term) == (self.index, self.term);
        if !mark.is_some_and(is_it) {
            return Err(TransferError::Bad(
                "it is at another entry than was offered",
            ));
        }
        let dirs = [&names.ids, &names.checkpoints, &names.segments];
        for dir in dirs
            .map(PathBuf::as_path)
            .into_iter()
            .chain([place, &self.dir])
        {
            let flushed = self.storage.sync_dir(dir);
            flushed.map_err(TransferError::dir("flush", dir))?;
        }
        Ok(())
    }
}

fn path_of(names: &Names, file: &ListedFile) -> PathBuf {
    match file.kind {
        Kind::Segment => names.segment(file.first),
        Kind::Run => names.run(file.first, file.last),
        Kind::Checkpoint => names.piece(file.first, file.last),
    }
}
