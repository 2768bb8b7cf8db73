//! Tests that need a mount of their own run once more inside a namespace, where they may have
//! one, and which takes it away again. Needs the right to make namespaces, or root.

use std::path::Path;
use std::process::Command;

/// Set in the process inside.
const INSIDE: &str = "TEST_IN_NAMESPACE";

/// True inside. Outside it runs the test `name` of this binary inside, and asserts that it passed.
pub(crate) fn enter(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let this = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
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
