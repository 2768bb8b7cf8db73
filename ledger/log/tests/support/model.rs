//! A storage that knows what is durable, and can crash: every unflushed write may be there, not
//! be there, or be torn at sectors; every unflushed name may be old or new.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use giro_base::Buffer;
use giro_log::storage::{Access, Removed, Storage, StorageFile};
use giro_log::{Disk, SegmentFile, Write};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

pub(crate) const SECTOR: usize = 4096;

/// A sector that was written; none is all zeros.
type Sector = Option<Arc<[u8; SECTOR]>>;

#[derive(Clone, Default)]
pub(crate) struct Model(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    files: Vec<FileState>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    name_changes: Vec<NameChange>,
    /// Changes until the moment that is to be kept.
    countdown: u64,
    kept: Option<Box<State>>,
    /// What the test wants to know of the kept moment.
    note: u64,
    /// Bytes that may still be allocated; none is without limit.
    free: Option<u64>,
}

#[derive(Clone, Default)]
struct FileState {
    now: Content,
    durable: Content,
    changes: Vec<Change>,
}

#[derive(Clone, Default)]
struct Content {
    sectors: Vec<Sector>,
}

#[derive(Clone)]
enum Change {
    Grow(usize),
    Write {
        id: u64,
        first: usize,
        sectors: Vec<Sector>,
    },
}

#[derive(Clone)]
enum NameChange {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Content {
    fn apply(&mut self, change: &Change, keep: impl Fn(usize) -> bool) {
        match change {
            Change::Grow(count) => self.grow(*count),
            Change::Write { first, sectors, .. } => {
                for (place, sector) in sectors.iter().enumerate().filter(|(place, _)| keep(*place))
                {
                    self.grow(first + place + 1);
                    self.sectors[first + place].clone_from(sector);
                }
            }
        }
    }

    fn grow(&mut self, count: usize) {
        let count = count.max(self.sectors.len());
        self.sectors.resize(count, None);
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Create(path, file) => drop(names.insert(path.clone(), *file)),
            Self::Remove(path) => drop(names.remove(path)),
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }

    fn dir(&self) -> Option<&Path> {
        match self {
            Self::Create(path, _) | Self::Remove(path) | Self::Rename(path, _) => path.parent(),
        }
    }
}

impl State {
    /// Before each change: the moment may be the one to keep.
    fn tick(&mut self) {
        if self.countdown > 0 {
            self.countdown -= 1;
            if self.countdown == 0 {
                self.kept = Some(Box::new(self.clone()));
            }
        }
    }

    fn change(&mut self, file: usize, change: Change) {
        self.files[file].now.apply(&change, |_| true);
        self.files[file].changes.push(change);
    }

    fn crash(mut self, rng: &mut ChaCha8Rng) -> Self {
        let mut names = self.durable_names;
        // A journal keeps the order of names, or it doesn't: both are allowed.
        let in_order = rng.random_bool(0.5);
        for change in &self.name_changes {
            let lost = rng.random_bool(0.3);
            if lost && in_order {
                break;
            }
            if !lost {
                change.apply(&mut names);
            }
        }
        for file in &mut self.files {
            for change in std::mem::take(&mut file.changes) {
                let count = match &change {
                    Change::Grow(_) => 1,
                    Change::Write { sectors, .. } => sectors.len(),
                };
                let cut = rng.random_range(0..=count);
                let odds = rng.random_range(0..=10);
                let picks: Vec<bool> = (0..count).map(|_| rng.random_range(0..10) < odds).collect();
                match rng.random_range(0..4) {
                    0 => {}
                    1 => file.durable.apply(&change, |_| true),
                    2 => file.durable.apply(&change, |place| place < cut),
                    _ => file.durable.apply(&change, |place| picks[place]),
                }
            }
            file.now = file.durable.clone();
        }
        Self {
            files: self.files,
            durable_names: names.clone(),
            names,
            free: self.free,
            ..Self::default()
        }
    }
}

impl Model {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Keeps the moment before the `count`-th change from now.
    pub(crate) fn keep_moment(&self, count: u64) {
        self.state().countdown = count;
    }

    /// Changes until the moment to keep; 0 when it has come.
    pub(crate) fn changes_left(&self) -> u64 {
        self.state().countdown
    }

    /// What the test wants to know of the kept moment.
    pub(crate) fn set_note(&self, note: u64) {
        self.state().note = note;
    }

    /// A disk after a crash at the kept moment (or now, when that has not come), and the note of
    /// that moment.
    pub(crate) fn crash(&self, rng: &mut ChaCha8Rng) -> (Self, u64) {
        let state = self.state();
        let state = state.kept.as_deref().unwrap_or(&state).clone();
        let note = state.note;
        (Self(Arc::new(Mutex::new(state.crash(rng)))), note)
    }

    /// The same files, apart from this.
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.state().clone())))
    }

    pub(crate) fn set_free(&self, bytes: Option<u64>) {
        self.state().free = bytes;
    }

    /// Changes bytes behind everybody's back.
    pub(crate) fn edit(&self, path: &Path, offset: usize, edit: impl FnOnce(&mut [u8; SECTOR])) {
        let mut state = self.state();
        let file = state.names[path];
        let sector = &mut state.files[file].now.sectors[offset / SECTOR];
        let mut bytes = sector.as_deref().copied().unwrap_or([0; SECTOR]);
        edit(&mut bytes);
        *sector = Some(Arc::new(bytes));
    }

    /// Bytes of a file as they are now.
    pub(crate) fn bytes(&self, path: &Path, offset: usize, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.open(path, Access::Read)
            .unwrap()
            .read_at(&mut bytes, offset as u64)
            .unwrap();
        bytes
    }

    pub(crate) fn cut(&self, path: &Path, sectors: usize) {
        let mut state = self.state();
        let file = state.names[path];
        state.files[file].now.sectors.truncate(sectors);
    }

    /// Starts a durable write that ends with [`complete`](Self::complete).
    fn start(&self, path: &Path, id: u64, bytes: &[u8], offset: u64) {
        let mut state = self.state();
        state.tick();
        let file = state.names[path];
        let (first, sectors) = sectors_of(bytes, offset);
        state.change(file, Change::Write { id, first, sectors });
    }

    fn complete(&self, path: &Path, wanted: u64) {
        let mut state = self.state();
        state.tick();
        let file = state.names[path];
        let file = &mut state.files[file];
        let found = |change: &Change| matches!(change, Change::Write { id, .. } if *id == wanted);
        let place = file.changes.iter().position(found).unwrap();
        let change = file.changes.remove(place);
        file.durable.apply(&change, |_| true);
    }
}

fn sectors_of(bytes: &[u8], offset: u64) -> (usize, Vec<Sector>) {
    let (sectors, rest) = bytes.as_chunks::<SECTOR>();
    assert!(
        rest.is_empty() && offset.is_multiple_of(SECTOR as u64),
        "direct I/O is by sectors"
    );
    let sector = |bytes: &[u8; SECTOR]| (*bytes != [0; SECTOR]).then(|| Arc::new(*bytes));
    (
        offset as usize / SECTOR,
        sectors.iter().map(sector).collect(),
    )
}

struct ModelFile {
    model: Model,
    file: usize,
}

impl Storage for Model {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let mut state = self.state();
        state.tick();
        let file = state.files.len();
        state.files.push(FileState::default());
        let change = NameChange::Create(path.to_owned(), file);
        change.apply(&mut state.names);
        state.name_changes.push(change);
        drop(state);
        Ok(Box::new(ModelFile {
            model: self.clone(),
            file,
        }))
    }

    fn open(&self, path: &Path, _: Access) -> io::Result<Box<dyn StorageFile>> {
        let file = self
            .state()
            .names
            .get(path)
            .copied()
            .ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(ModelFile {
            model: self.clone(),
            file,
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let here = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(here
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.tick();
        assert!(
            state.names.contains_key(from),
            "{} is renamed",
            from.display()
        );
        let change = NameChange::Rename(from.to_owned(), to.to_owned());
        change.apply(&mut state.names);
        state.name_changes.push(change);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<Removed> {
        let mut state = self.state();
        state.tick();
        let change = NameChange::Remove(path.to_owned());
        change.apply(&mut state.names);
        state.name_changes.push(change);
        Ok(Removed::default())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.tick();
        let changes = std::mem::take(&mut state.name_changes);
        let (here, elsewhere) = changes
            .into_iter()
            .partition(|change| change.dir() == Some(dir));
        state.name_changes = elsewhere;
        let here: Vec<NameChange> = here;
        for change in here {
            change.apply(&mut state.durable_names);
        }
        Ok(())
    }
}

impl StorageFile for ModelFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.model.state();
        let sectors = &state.files[self.file].now.sectors;
        let end = sectors.len() * SECTOR;
        let count = bytes.len().min(end.saturating_sub(offset as usize));
        let (mut done, mut at) = (0, offset as usize);
        while done < count {
            let part = (count - done).min(SECTOR - at % SECTOR);
            let to = &mut bytes[done..done + part];
            match &sectors[at / SECTOR] {
                Some(sector) => to.copy_from_slice(&sector[at % SECTOR..][..part]),
                None => to.fill(0),
            }
            done += part;
            at += part;
        }
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.model.state();
        state.tick();
        let (first, sectors) = sectors_of(bytes, offset);
        state.change(
            self.file,
            Change::Write {
                id: 0,
                first,
                sectors,
            },
        );
        Ok(())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.model.state();
        state.tick();
        if let Some(free) = &mut state.free {
            *free = free.checked_sub(bytes).ok_or(io::ErrorKind::StorageFull)?;
        }
        state.change(self.file, Change::Grow(bytes as usize / SECTOR));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.model.state();
        state.tick();
        let file = &mut state.files[self.file];
        for change in std::mem::take(&mut file.changes) {
            file.durable.apply(&change, |_| true);
        }
        Ok(())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok((self.model.state().files[self.file].now.sectors.len() * SECTOR) as u64)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// The log's disk on a model. Writes end when the test says so.
pub(crate) struct ModelDisk {
    model: Model,
    slots: BTreeMap<u32, PathBuf>,
    started: Vec<(PathBuf, Write)>,
}

impl ModelDisk {
    pub(crate) fn new(model: &Model) -> Self {
        Self {
            model: model.clone(),
            slots: BTreeMap::new(),
            started: Vec::new(),
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.started.len()
    }

    /// Ends one of the writes in flight, any of them.
    pub(crate) fn complete(&mut self, which: usize) -> Write {
        let (path, write) = self.started.remove(which);
        self.model.complete(&path, write.index);
        write
    }
}

impl Disk for ModelDisk {
    fn attach(&mut self, slot: u32, segment: &SegmentFile) -> io::Result<()> {
        self.slots.insert(slot, segment.path.clone());
        Ok(())
    }

    fn start_write(&mut self, write: Write, buffer: &Buffer) {
        let path = self.slots[&write.slot].clone();
        self.model
            .start(&path, write.index, &buffer[..write.bytes], write.offset);
        self.started.push((path, write));
    }
}
