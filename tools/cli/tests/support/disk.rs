//! A disk of a replica's own: an image with a file system, mounted by a loop device. It can be made
//! to hang, and be pulled out.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::namespace;

/// Room on it. The image takes only what is written.
const BYTES: u64 = 1 << 30;

/// The file system in `image`, at `dir`, until it is dropped.
pub(crate) struct Disk {
    image: PathBuf,
    dir: PathBuf,
}

impl Disk {
    /// Inside [`namespace::enter_with_disks`].
    pub(crate) fn mount(dir: &Path) -> Self {
        let disk = Self {
            image: dir.with_extension("image"),
            dir: dir.to_owned(),
        };
        let image = std::fs::File::create_new(&disk.image).unwrap();
        image.set_len(BYTES).unwrap();
        run("mkfs.ext4", &["-q".as_ref(), disk.image.as_ref()]);
        std::fs::create_dir(dir).unwrap();
        namespace::mount(&["-o", "loop", path(&disk.image)], dir);
        std::fs::remove_dir(dir.join("lost+found")).unwrap();
        disk
    }

    /// What writes to it waits, and cannot be killed, until the guard is dropped.
    pub(crate) fn freeze(&self) -> Frozen {
        // Reads from this process, and so thaws also when it is killed: a frozen file system would
        // outlive its mounts.
        let script = "fsfreeze --freeze \"$0\" && echo frozen && read -r _; \
                      fsfreeze --unfreeze \"$0\"";
        let mut shell = Command::new("sh")
            .args(["-c", script, path(&self.dir)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = shell.stdout.take().expect("piped above");
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "frozen\n");
        Frozen { shell }
    }

    /// From now on whatever reaches the disk is an error. What was written before is kept aside.
    pub(crate) fn pull(&self) {
        // No write is under way meanwhile.
        let frozen = self.freeze();
        std::fs::copy(&self.image, self.kept()).unwrap();
        let image = std::fs::File::options().write(true).open(&self.image);
        image.unwrap().set_len(4096).unwrap();
        let device = run(
            "losetup",
            &[
                "--associated".as_ref(),
                self.image.as_ref(),
                "--noheadings".as_ref(),
                "--output=NAME".as_ref(),
            ],
        );
        run("losetup", &["--set-capacity".as_ref(), device.as_ref()]);
        drop(frozen);
    }

    /// It is there again as it was when it was pulled. Nobody may use what is mounted.
    pub(crate) fn put_back(&self) {
        run("umount", &[self.dir.as_ref()]);
        std::fs::rename(self.kept(), &self.image).unwrap();
        namespace::mount(&["-o", "loop", path(&self.image)], &self.dir);
    }

    fn kept(&self) -> PathBuf {
        self.image.with_extension("kept")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Who still uses it keeps it until the end.
        let _ = Command::new("umount").arg("--lazy").arg(&self.dir).status();
    }
}

/// A disk that does not write.
pub(crate) struct Frozen {
    shell: Child,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let ended = self.shell.wait();
        assert!(ended.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs a program to its end, which must be a good one, and gives what it printed.
fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {error}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
