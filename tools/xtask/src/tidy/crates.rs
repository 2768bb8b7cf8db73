//! The list of crates in ARCHITECTURE.md against the manifests: who uses whom.

use std::collections::{BTreeMap, BTreeSet};

use super::{File, Finding};

const LIST: &str = "ARCHITECTURE.md";
const WORKSPACE: &str = "Cargo.toml";

pub(super) fn check(files: &[File], findings: &mut Vec<Finding>) {
    let named = |path: &str| files.iter().find(|file| file.path == path);
    let (Some(list), Some(workspace)) = (named(LIST), named(WORKSPACE)) else {
        return;
    };
    let members = members(workspace);
    let homes = homes(workspace);
    let mut listed = listed(list, &members);
    for member in &members {
        let Some(manifest) = named(&format!("{member}/Cargo.toml")) else {
            continue;
        };
        let used = used(manifest, &homes);
        match listed.remove(member) {
            None => findings.push(list.finding(0, format!("{member} is not in the list"))),
            Some((line, said)) if said != used => {
                let used: Vec<&str> = used.into_iter().collect();
                let what = format!("{member} uses {}", used.join(", "));
                findings.push(list.finding(line, what));
            }
            Some(_) => {}
        }
    }
}

/// Folders of the workspace's crates.
fn members(workspace: &File) -> BTreeSet<&str> {
    let lines = workspace.text.lines();
    let inside = lines.skip_while(|line| !line.starts_with("members"));
    let inside = inside.skip(1).take_while(|line| !line.starts_with(']'));
    inside.filter_map(|line| line.split('"').nth(1)).collect()
}

/// The folder of each of our crates, by its name.
fn homes(workspace: &File) -> BTreeMap<&str, &str> {
    let lines = workspace.text.lines();
    lines
        .filter_map(|line| {
            let (name, path) = line.split_once(" = { path = \"")?;
            Some((name, path.split('"').next()?))
        })
        .collect()
}

/// What each line of the list says that a crate uses, and the line's number.
fn listed<'a>(
    list: &'a File,
    members: &BTreeSet<&'a str>,
) -> BTreeMap<&'a str, (usize, BTreeSet<&'a str>)> {
    let mut listed = BTreeMap::new();
    let mut in_block = false;
    for (number, line) in list.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        }
        // What only tests use stands in parentheses.
        let outside = line.split('(').flat_map(|part| match part.split_once(')') {
            Some((_, behind)) => behind.split_whitespace(),
            None => part.split_whitespace(),
        });
        let mut crates = outside.filter(|word| members.contains(word));
        if in_block
            && line.starts_with(' ')
            && let Some(name) = crates.next()
        {
            listed.insert(name, (number, crates.collect()));
        }
    }
    listed
}

/// Folders of those of our crates that a manifest names outside of its tests.
fn used<'a>(manifest: &'a File, homes: &BTreeMap<&str, &'a str>) -> BTreeSet<&'a str> {
    let mut is_wanted = false;
    let mut used = BTreeSet::new();
    for line in manifest.text.lines() {
        if line.starts_with('[') {
            is_wanted = line == "[dependencies]"
                || line.starts_with("[target.") && line.ends_with(".dependencies]");
        } else if is_wanted && let Some((name, _)) = line.split_once(".workspace") {
            used.extend(homes.get(name));
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(list: &str) -> Vec<String> {
        let file = |path: &str, text: &str| File {
            path: path.into(),
            text: text.into(),
        };
        let workspace = "members = [\n    \"low\",\n    \"high\",\n]\n\
                         [workspace.dependencies]\ngold-low = { path = \"low\" }\n";
        let high = "[dependencies]\nserde.workspace = true\ngold-low.workspace = true\n";
        let files = [
            file("ARCHITECTURE.md", list),
            file("Cargo.toml", workspace),
            file(
                "low/Cargo.toml",
                "[dev-dependencies]\ngold-low.workspace = true\n",
            ),
            file("high/Cargo.toml", high),
        ];
        let mut findings = Vec::new();
        check(&files, &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_list_of_crates_is_that_of_the_manifests() {
        let right = "```\n high  low (its ring)  the crate `gold`\n low   none (high in its \
                     tests)\n```\n";
        assert!(findings(right).is_empty());
        let wrong = "```\n high  none\n```\nlow and high\n";
        assert_eq!(
            findings(wrong),
            [
                "ARCHITECTURE.md:2: high uses low",
                "ARCHITECTURE.md: low is not in the list"
            ]
        );
    }
}
