//! A log's files with any content: recovery never panics, and never gives back a record that was
//! not appended. An input is a first byte that chooses the starting image (an empty segment, or a
//! valid log of some records), then changes: place (u24), length (u8), bytes.
#![no_main]

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use giro_base::{Buffer, BufferPool};
use giro_log::storage::{Access, Removed, Storage, StorageFile};
use giro_log::{
    Disk, Identity, LogOptions, NewRecord, OpHeader, Recovery, SEGMENT_BYTES_MIN, SegmentFile,
    Write,
};
use libfuzzer_sys::fuzz_target;
use zerocopy::IntoBytes;

const DIR: &str = "/ledger";
const IDENTITY: Identity = Identity {
    cluster: 0,
    replica: 0,
    replica_count: 1,
    incarnation: 0,
    hash_key: [1, 2],
    segment_bytes: SEGMENT_BYTES_MIN,
};
/// Records of the valid log, with bodies of these lengths.
const BODIES: [usize; 5] = [0, 128, 5000, 64, 9000];

type Bytes = Arc<Mutex<Vec<u8>>>;

/// Files in memory; nothing fails and everything is durable.
#[derive(Clone, Default)]
struct Files(Arc<Mutex<HashMap<PathBuf, Bytes>>>);

struct OpenFile(Bytes);

impl Storage for Files {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let bytes = Bytes::default();
        self.0
            .lock()
            .unwrap()
            .insert(path.into(), Arc::clone(&bytes));
        Ok(Box::new(OpenFile(bytes)))
    }

    fn open(&self, path: &Path, _: Access) -> io::Result<Box<dyn StorageFile>> {
        let files = self.0.lock().unwrap();
        let bytes = files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(OpenFile(Arc::clone(bytes))))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let files = self.0.lock().unwrap();
        let inside = files.keys().filter(|path| path.parent() == Some(dir));
        let name = |path: &PathBuf| path.file_name()?.to_str().map(str::to_owned);
        Ok(inside.filter_map(name).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        let bytes = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.into(), bytes);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<Removed> {
        self.0.lock().unwrap().remove(path);
        Ok(Removed::default())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl StorageFile for OpenFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let file = self.0.lock().unwrap();
        let rest = file.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut file = self.0.lock().unwrap();
        let end = offset as usize + bytes.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        file[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.0.lock().unwrap().resize(bytes as usize, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// Writes go to the files at once.
struct FileDisk {
    files: Files,
    paths: HashMap<u32, PathBuf>,
    done: Vec<Write>,
}

impl Disk for FileDisk {
    fn attach(&mut self, slot: u32, segment: &SegmentFile) -> io::Result<()> {
        self.paths.insert(slot, segment.path.clone());
        Ok(())
    }

    fn start_write(&mut self, write: Write, buffer: &Buffer) {
        let file = self
            .files
            .open(&self.paths[&write.slot], Access::Log)
            .unwrap();
        file.write_at(&buffer[..write.bytes], write.offset).unwrap();
        self.done.push(write);
    }
}

/// The valid log's first segment, and the checksums of its records.
static VALID: LazyLock<(Vec<u8>, Vec<u128>)> = LazyLock::new(|| {
    let files = Files::default();
    let storage: Arc<dyn Storage> = Arc::new(files.clone());
    giro_log::directory::format_on(&storage, Path::new(DIR), &IDENTITY).unwrap();
    let mut buffer = BufferPool::new(1).unwrap().take().unwrap();
    let mut recovery = open(&storage).unwrap();
    assert!(recovery.next(&mut buffer).unwrap().is_none());
    let mut log = recovery.finish_inline().unwrap();
    let mut disk = FileDisk {
        files: files.clone(),
        paths: HashMap::new(),
        done: Vec::new(),
    };
    for (at, body_bytes) in BODIES.into_iter().enumerate() {
        let ops_bytes = put_op(&mut buffer, at as u64 + 1, body_bytes);
        let record = NewRecord {
            term: 1,
            first_op: at as u64 + 1,
            op_count: 1,
            ops_bytes,
            timestamp: 1,
        };
        log.append(&mut buffer, record, &mut disk).unwrap();
        for write in disk.done.drain(..) {
            log.on_write(write.index, Ok(write.bytes)).unwrap();
        }
    }
    let image = files.0.lock().unwrap()[&segment()].lock().unwrap().clone();
    let checksums = read(&storage).0;
    assert_eq!(checksums.len(), BODIES.len());
    (image, checksums)
});

fn segment() -> PathBuf {
    Path::new(DIR).join("log").join(format!("{:016x}.log", 1))
}

/// An op with a body of one value, behind the record's header.
fn put_op(buffer: &mut Buffer, op: u64, body_bytes: usize) -> usize {
    let body = vec![op as u8; body_bytes];
    let header = OpHeader {
        checksum_body: giro_base::checksum(&body),
        op,
        timestamp: op,
        body_bytes: body_bytes as u32,
        operation: 147,
        ..OpHeader::default()
    }
    .sealed();
    buffer[256..512].copy_from_slice(header.as_bytes());
    buffer[512..512 + body_bytes].copy_from_slice(&body);
    giro_log::op_bytes(body_bytes)
}

fn open(storage: &Arc<dyn Storage>) -> Result<Recovery, giro_log::LogError> {
    Recovery::open_on(
        Arc::clone(storage),
        Path::new(DIR),
        &IDENTITY,
        &LogOptions::default(),
    )
}

/// The checksums of the records that can be read, and whether the log can go on behind them.
fn read(storage: &Arc<dyn Storage>) -> (Vec<u128>, bool) {
    let mut checksums = Vec::new();
    let mut buffer = BufferPool::new(1).unwrap().take().unwrap();
    let Ok(mut recovery) = open(storage) else {
        return (checksums, false);
    };
    loop {
        match recovery.next(&mut buffer) {
            Ok(Some(record)) => checksums.push(record.checksum),
            Ok(None) => return (checksums, recovery.finish_inline().is_ok()),
            Err(error) => {
                assert!(error.to_string().contains(".log"), "{error}");
                return (checksums, false);
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&start, mut changes)) = input.split_first() else {
        return;
    };
    let (valid, appended) = &*VALID;
    let mut image = if start % 2 == 0 {
        valid.clone()
    } else {
        vec![0; SEGMENT_BYTES_MIN as usize]
    };
    while let [a, b, c, length, rest @ ..] = changes {
        let at = u32::from_le_bytes([*a, *b, *c, 0]) as usize % image.len();
        let bytes = usize::from(*length).min(rest.len()).min(image.len() - at);
        let (these, rest) = rest.split_at(bytes);
        image[at..at + bytes].copy_from_slice(these);
        changes = rest;
    }
    let files = Files::default();
    let storage: Arc<dyn Storage> = Arc::new(files.clone());
    let bytes = Arc::new(Mutex::new(image));
    files.0.lock().unwrap().insert(segment(), bytes);
    let (found, goes_on) = read(&storage);
    assert!(appended.starts_with(&found), "a record nobody appended");
    if goes_on {
        // What recovery cleared changes nothing about what is read.
        assert_eq!(read(&storage).0, found);
    }
});
