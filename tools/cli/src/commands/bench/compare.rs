//! `giro bench compare`: two runs by their JSON.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use giro_driver::report::{Report, Versus, caveats, compare};

use crate::say::say;

pub(super) fn print_differences(first: &Path, second: &Path) -> anyhow::Result<()> {
    let (first, second) = (read(first)?, read(second)?);
    let differences = compare(&first, &second).map_err(anyhow::Error::msg)?;
    for caveat in caveats(&first, &second) {
        say!("warning: {caveat}");
    }
    say!(
        "{:<12} {:>14} {:>14} {:>10}",
        "",
        "first",
        "second",
        "change"
    );
    for difference in differences {
        let change = match difference.percent() {
            Some(percent) => format!("{percent:>+8.1} %"),
            // There is no part of nothing.
            None => "from none".into(),
        };
        say!(
            "{:<12} {:>14.2} {:>14.2} {change:>10}",
            difference.what,
            difference.first,
            difference.second,
        );
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Report> {
    let place = path.display();
    let text = fs::read(path).with_context(|| format!("cannot read {place}"))?;
    let report = serde_json::from_slice(&text);
    if report.is_err() && serde_json::from_slice::<Versus>(&text).is_ok() {
        bail!(
            "{place} is of giro bench versus, which has compared its targets already: compare \
             takes two reports of giro bench run"
        );
    }
    report.with_context(|| format!("{place} is no report of giro bench"))
}
