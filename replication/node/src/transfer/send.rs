//! The sender: a checkpoint's files, held open, to a node that asked for it.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use giro_base::Region;
use giro_store::copy::fingerprint;
use giro_store::page::{Kind, PAGE_BYTES, Page};
use giro_store::reader::PageFile;
use giro_store::writer::CHUNK_PAGES;
use giro_store::{Catalog, Reader, StoreError};
use zerocopy::IntoBytes;

use super::block::{self, read_block, refuse, write_block};
use super::error::TransferError;
use super::listing::{ListedFile, encode_listing};
use crate::mark::GroupMark;

/// The history's files as of an offer. They stay readable, whatever becomes of them, until this is
/// dropped.
#[derive(Clone)]
pub struct Pinned {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) index: u64,
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// Files.
    pub files: usize,
    /// Bytes of them.
    pub bytes: u64,
}

impl Pinned {
    /// The entry that the checkpoint is at.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Whether these are the files of the checkpoint that was offered: a newer one may have become
    /// durable in between. Waits for the disk.
    ///
    /// # Errors
    /// [`TransferError::Refused`] when they are not, and the disk's.
    pub fn check(&self) -> Result<(), TransferError> {
        let whole = self.catalog.checkpoint();
        let whole = whole.ok_or(TransferError::Bad("there is no checkpoint"))?;
        let mut reader = Reader::new().map_err(|source| TransferError::Link {
            action: "get a page of memory",
            source,
        })?;
        let mark = GroupMark::decode(&whole.group(&mut reader)?);
        if mark.is_none_or(|mark| mark.index != self.index) {
            let gone = "there is a newer checkpoint than the one that was offered".to_owned();
            return Err(TransferError::Refused(gone));
        }
        Ok(())
    }

    /// Sends what the other side lacks, at most `pace` bytes a second, and waits until it says that
    /// it has it. Waits for the disk and the other side.
    ///
    /// # Errors
    /// [`TransferError`]; the other side was told if that was possible.
    pub fn send(&self, stream: &mut (impl Read + Write), pace: u64) -> Result<Sent, TransferError> {
        let files = match self.files() {
            Ok(files) => files,
            Err(error) => {
                refuse(stream, &error.to_string());
                return Err(error);
            }
        };
        let listed: Vec<ListedFile> = files.iter().map(|(listed, _)| *listed).collect();
        write_block(stream, block::Kind::Listing, &encode_listing(&listed))?;
        let wanted = read_block(stream, block::Kind::Wanted, files.len() * 4)?;
        let mut sent = Sent::default();
        let start = Instant::now();
        for place in wanted.as_chunks().0 {
            let place = u32::from_le_bytes(*place) as usize;
            let Some((_, file)) = files.get(place) else {
                return Err(TransferError::Bad("it wants a file that is not listed"));
            };
            send_file(file, stream, &mut |bytes| {
                sent.bytes += bytes;
                let due = Duration::from_secs_f64(sent.bytes as f64 / pace.max(1) as f64);
                std::thread::sleep(due.saturating_sub(start.elapsed()));
            })?;
            sent.files += 1;
        }
        stream.flush().map_err(TransferError::link("send"))?;
        read_block(stream, block::Kind::Whole, 0)?;
        Ok(sent)
    }

    /// All files, when they are those of the checkpoint that was offered.
    fn files(&self) -> Result<Vec<(ListedFile, &PageFile)>, TransferError> {
        self.check()?;
        let catalog = &*self.catalog;
        let segments = catalog.segments.iter();
        let segments = segments.map(|s| (Kind::Segment, s.number(), s.number(), s.file()));
        let runs = catalog.runs.iter();
        let runs = runs.map(|run| (Kind::Run, run.first(), run.last(), run.file()));
        let pieces = catalog.pieces.iter();
        let pieces = pieces.map(|p| (Kind::Checkpoint, p.first(), p.last(), p.file()));
        let listed = |(kind, first, last, file): (Kind, u64, u64, _)| {
            let file: &PageFile = file;
            let listed = ListedFile {
                kind,
                first,
                last,
                pages: file.pages(),
                fingerprint: fingerprint(file)?,
            };
            Ok::<_, StoreError>((listed, file))
        };
        let all = segments.chain(runs).chain(pieces).map(listed);
        Ok(all.collect::<Result<Vec<_>, _>>()?)
    }
}

/// Sends a file's pages, each checked before. What is damaged here is not sent.
fn send_file(
    file: &PageFile,
    stream: &mut impl Write,
    sent: &mut dyn FnMut(u64),
) -> Result<(), TransferError> {
    let memory = TransferError::dir("get memory for", file.path());
    let mut chunk = Region::<Page>::new(CHUNK_PAGES).map_err(memory)?;
    let mut first = 0;
    while first < file.pages() {
        let count = (file.pages() - first).min(CHUNK_PAGES as u64);
        chunk.set_len(count as usize);
        file.read_pages(first, &mut chunk)?;
        let bytes = chunk.as_bytes();
        stream
            .write_all(bytes)
            .map_err(TransferError::link("send"))?;
        sent(count * PAGE_BYTES as u64);
        first += count;
    }
    Ok(())
}
