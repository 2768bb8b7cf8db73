//! Tests that need a mount of their own run once more inside a namespace, where they may have
//! one, and which takes it away again. Needs the right to make namespaces, or root; with disks of
//! its own, root, loop devices and `mkfs.ext4`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Set in the process inside.
const INSIDE: &str = "TEST_IN_NAMESPACE";
/// One at a time: what they start has deadlines, and fills the machine.
static TURN: Mutex<()> = Mutex::new(());

/// True inside. Outside it runs the test `name` of this binary inside, and asserts that it passed.
pub(crate) fn enter(name: &str) -> bool {
    enter_by(&["--user", "--map-root-user", "--mount"], name)
}

/// The same for a test that makes [disks](super::disk). Where that is not possible, it says so, and
/// is false.
pub(crate) fn enter_with_disks(name: &str) -> bool {
    // Inside it was possible.
    if std::env::var_os(INSIDE).is_none() && !can_make_disks() {
        let is_required = std::env::var_os("GIRO_REQUIRE_LOOP").is_some();
        assert!(!is_required, "no loop device for it, and it is required");
        eprintln!("skipped: needs root, loop devices and mkfs.ext4");
        return false;
    }
    // A file system on a device is not for those who are root in a namespace only.
    enter_by(&["--mount"], name)
}

fn can_make_disks() -> bool {
    let works = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        let command = command.args(arguments).stdout(Stdio::null());
        let status = command.stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    works("unshare", &["--mount", "losetup", "--find"]) && works("mkfs.ext4", &["-V"])
}

fn enter_by(unshare: &[&str], name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let this = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(unshare)
        .arg(this)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare (util-linux) is there");
    let out = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{out}\n{error}");
    assert!(out.contains("1 passed"), "{name} did not run: {out}");
    false
}

/// Mounts with these arguments of `mount`.
pub(crate) fn mount(arguments: &[&str], dir: &Path) {
    let status = Command::new("mount").args(arguments).arg(dir).status();
    assert!(status.unwrap().success(), "mount {arguments:?}");
}
