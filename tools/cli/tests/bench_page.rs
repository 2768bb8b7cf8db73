//! The pages of `giro bench` in a real browser.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Said, folder, giro};

/// Chromium is no part of Giro: where it is missing, the test says so and ends.
fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&path)
        .flat_map(|dir| names.map(|name| dir.join(name)))
        .find(|program| program.is_file());
    if found.is_none() {
        let is_required = std::env::var_os("GIRO_REQUIRE_CHROMIUM").is_some();
        assert!(!is_required, "no Chromium, and it is required");
        eprintln!("skipped: no Chromium on this machine");
    }
    found
}

/// What a page is once it was shown, and what its console says.
fn show(browser: &Path, dir: &Path, page: &Path) -> (String, Vec<String>) {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args([
            "--disable-dev-shm-usage",
            "--enable-logging=stderr",
            "--v=0",
        ])
        .arg(format!("--user-data-dir={}", dir.join("profile").display()))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = Said::from(output);
    assert!(said.succeeded, "{said:?}");
    let console = said.error.lines().filter(|line| line.contains("CONSOLE"));
    (said.out.clone(), console.map(str::to_owned).collect())
}

fn bench(dir: &Path, line: &str) -> PathBuf {
    let line = format!("bench {line} --batch 20 --seconds 1.5 --warm-up 0 --accounts 50");
    let mut command = giro(&line.split_whitespace().collect::<Vec<_>>());
    let out = dir.join("report");
    let command = command.args(["--prefault-mib", "1", "--dir"]).arg(dir);
    let said = Said::from(command.arg("--out").arg(&out).output().unwrap());
    assert!(said.succeeded, "{said:?}");
    out.with_extension("html")
}

#[test]
fn a_browser_shows_the_plots_and_its_console_stays_empty() {
    let Some(browser) = browser() else {
        return;
    };
    let dir = folder();
    let dir = std::fs::canonicalize(dir.path()).unwrap();
    // An error on a page would be seen.
    let broken = dir.join("broken.html");
    std::fs::write(&broken, "<script>throw new Error('broken')</script>").unwrap();
    assert_eq!(show(&browser, &dir, &broken).1.len(), 1);

    let run = bench(&dir, "run read-mix --target library --rate 2000");
    let (dom, console) = show(&browser, &dir, &run);
    assert_eq!(console, [""; 0]);
    assert_eq!(
        dom.matches("<svg").count(),
        3,
        "rates, latency, percentiles"
    );
    // Two rates, four latencies, one distribution.
    assert!(dom.matches("<polyline").count() >= 7, "{dom}");
    assert!(dom.contains("newest of an account"), "figures of each kind");

    let versus = bench(
        &dir,
        "versus transfers --targets library:1,library:2 --rounds 1",
    );
    let (dom, console) = show(&browser, &dir, &versus);
    assert_eq!(console, [""; 0]);
    assert_eq!(dom.matches("<svg").count(), 1);
    assert!(dom.matches("<polyline").count() >= 2, "one for each target");
}
