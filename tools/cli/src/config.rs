//! Settings: defaults, then the configuration file, then the environment, then flags.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use giro_node::GateOptions;
use giro_replication::NodeId;
use giro_server::REACTORS_MAX;
use serde::Deserialize;

/// What `giro format` writes beside a new ledger: every setting with its default, commented out.
pub(crate) const TEMPLATE: &str = include_str!("giro.toml");

/// Log segments a server keeps ready: 1 GiB, a peak of some seconds.
pub(crate) const LOG_SPARES: u32 = 16;

/// What a group's log keeps behind a checkpoint unless told otherwise.
pub(crate) const LOG_KEPT_MIB: u64 = 256;

/// Settings as flags or environment variables give them. All optional: what is missing comes from
/// the file, then from the defaults.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Flags {
    /// Where to listen: [host:]port. Port 0 takes a free one, printed as the first line. In a
    /// group: all replicas' addresses by their number, with commas between them.
    #[arg(long, env = "GIRO_ADDRESSES", value_name = "[HOST:]PORT,...")]
    pub(crate) addresses: Option<String>,
    /// Where the replicas of a group reach each other, by their number. When not given: a thousand
    /// ports above `addresses`.
    #[arg(long, env = "GIRO_PEERS", value_name = "[HOST:]PORT,...")]
    peers: Option<String>,
    /// Configuration file; the ledger's own giro.toml when not given.
    #[arg(long, env = "GIRO_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Threads that share execution.
    #[arg(long, env = "GIRO_SHARDS")]
    shards: Option<u32>,
    /// Pin the shards' threads to cores.
    #[arg(long, env = "GIRO_PIN", value_name = "true|false")]
    pin: Option<bool>,
    /// Threads of the port: one has the ledger, further ones the connections.
    #[arg(long, env = "GIRO_REACTORS")]
    reactors: Option<u32>,
    /// Most sessions at a time.
    #[arg(long, env = "GIRO_SESSIONS_MAX")]
    sessions_max: Option<u32>,
    /// Most connections at a time.
    #[arg(long, env = "GIRO_CONNECTIONS_MAX")]
    connections_max: Option<u32>,
    /// Message buffers of 1 MiB.
    #[arg(long, env = "GIRO_BUFFERS")]
    buffers: Option<u32>,
    /// Most accounts.
    #[arg(long, env = "GIRO_ACCOUNTS_MAX")]
    accounts_max: Option<u64>,
    /// Most transfers.
    #[arg(long, env = "GIRO_TRANSFERS_MAX")]
    transfers_max: Option<u64>,
    /// Memory to make resident before the first request, in MiB.
    #[arg(long, env = "GIRO_PREFAULT_MIB")]
    prefault_mib: Option<u64>,
    /// Log segments kept ready ahead of need, 64 MiB each.
    #[arg(long, env = "GIRO_LOG_SPARES")]
    log_spares: Option<u32>,
    /// Transfers leave memory for a history on disk.
    #[arg(long, env = "GIRO_ARCHIVE", value_name = "true|false")]
    archive: Option<bool>,
    /// Transfers that go to the history at a time.
    #[arg(long, env = "GIRO_GENERATION_ROWS", value_name = "COUNT")]
    generation_rows: Option<u32>,
    /// In a group: entries that the log keeps behind a checkpoint for replicas that lag, in MiB.
    #[arg(long, env = "GIRO_LOG_KEPT_MIB", value_name = "MIB")]
    log_kept_mib: Option<u64>,
    /// In a group: a reply to a write also waits until one of these replicas has the write.
    #[arg(long, env = "GIRO_REPLY_GATE", value_name = "REPLICA,...")]
    reply_gate: Option<String>,
    /// Replies leave without the gate's replica when one has waited so long, until it has caught
    /// up; 0 never. In milliseconds.
    #[arg(long, env = "GIRO_REPLY_GATE_DEGRADE_MS", value_name = "MS")]
    reply_gate_degrade_ms: Option<u64>,
    /// How long a request waits for room before it is dropped, in milliseconds.
    #[arg(long, env = "GIRO_REQUEST_DEADLINE_MS")]
    request_deadline_ms: Option<u64>,
    /// Where to serve HTTP: [host:]port. Not served unless given.
    #[arg(long, env = "GIRO_HTTP", value_name = "[HOST:]PORT")]
    http: Option<String>,
    /// Where test traffic over HTTP and gRPC goes: ledger N + COUNT instead of N.
    #[arg(long, env = "GIRO_SHADOW_LEDGERS", value_name = "COUNT")]
    shadow_ledgers: Option<u32>,
}

/// Settings as the file gives them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    addresses: Option<String>,
    peers: Option<String>,
    shards: Option<u32>,
    pin: Option<bool>,
    reactors: Option<u32>,
    sessions_max: Option<u32>,
    connections_max: Option<u32>,
    buffers: Option<u32>,
    accounts_max: Option<u64>,
    transfers_max: Option<u64>,
    prefault_mib: Option<u64>,
    log_spares: Option<u32>,
    archive: Option<bool>,
    generation_rows: Option<u32>,
    log_kept_mib: Option<u64>,
    reply_gate: Option<String>,
    reply_gate_degrade_ms: Option<u64>,
    request_deadline_ms: Option<u64>,
    http: Option<String>,
    shadow_ledgers: Option<u32>,
}

/// Settings in force.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Where to listen; in a group, all replicas' addresses.
    pub(crate) addresses: String,
    /// Where the replicas of a group reach each other.
    pub(crate) peers: Option<String>,
    /// Where to serve HTTP, if it is served.
    pub(crate) http: Option<String>,
    /// What is added to the ledger's number for test traffic, where there is a place for it.
    pub(crate) shadow_ledgers: Option<u32>,
    /// Bytes of entries that a group's log keeps behind a checkpoint.
    pub(crate) log_kept_bytes: u64,
    /// The gate that a group's replies wait for.
    pub(crate) gate: Option<GateOptions>,
    /// The ledger's.
    pub(crate) ledger: giro::Options,
    /// The port's.
    pub(crate) server: giro_server::Options,
}

/// Bounds that would otherwise end in confusing failures.
const SHARDS_MAX: u64 = 64;
const SESSIONS_MAX: u64 = 1 << 20;
const BUFFERS_MIN: u64 = 8;
const BUFFERS_MAX: u64 = 1 << 14;
/// 1 TiB of log.
const LOG_SPARES_MAX: u64 = 1 << 14;
/// A generation has three files.
const GENERATION_ROWS_MIN: u64 = 1_000;
/// 16 TiB.
const MIB_MAX: u64 = 1 << 24;
/// A day, the longest of all times.
const DAY_MS: u64 = 86_400_000;
/// Milliseconds of a tick of a group.
const TICK_MS: u64 = 20;
/// One real ledger has room below the smallest, and all shadow ledgers above the largest.
const SHADOW_LEDGERS_MIN: u32 = 2;
const SHADOW_LEDGERS_MAX: u32 = 1 << 31;

impl Config {
    /// The settings for the ledger in `dir`.
    pub(crate) fn load(dir: &Path, flags: &Flags) -> anyhow::Result<Self> {
        let file = read_file(dir, flags.config.as_deref())?;
        let mut ledger = giro::Options::default();
        let mut server = giro_server::Options::default();
        let pick = |flag: Option<u64>, file: Option<u64>, default: usize| {
            flag.or(file).map_or(default, |value| {
                usize::try_from(value).unwrap_or(usize::MAX)
            })
        };
        ledger.shards = flags.shards.or(file.shards).unwrap_or(ledger.shards);
        ledger.pin = flags.pin.or(file.pin).unwrap_or(ledger.pin);
        ledger.sessions_max = flags
            .sessions_max
            .or(file.sessions_max)
            .unwrap_or(ledger.sessions_max);
        ledger.buffers = flags.buffers.or(file.buffers).unwrap_or(ledger.buffers);
        ledger.accounts_max = pick(flags.accounts_max, file.accounts_max, ledger.accounts_max);
        ledger.transfers_max = pick(
            flags.transfers_max,
            file.transfers_max,
            ledger.transfers_max,
        );
        let prefault = pick(flags.prefault_mib, file.prefault_mib, 0);
        ledger.prefault_bytes = prefault.saturating_mul(1 << 20);
        ledger.archive = flags.archive.or(file.archive).unwrap_or(ledger.archive);
        let rows = flags.generation_rows.or(file.generation_rows);
        ledger.generation_rows = rows.map_or(ledger.generation_rows, |rows| rows as usize);
        let kept = flags.log_kept_mib.or(file.log_kept_mib);
        let kept = kept.unwrap_or(LOG_KEPT_MIB);
        let spares = flags.log_spares.or(file.log_spares);
        ledger.log.spares = spares.unwrap_or(LOG_SPARES) as usize;
        let reactors = flags.reactors.or(file.reactors);
        server.reactors = reactors.map_or(server.reactors, |reactors| reactors as usize);
        server.sessions_max = ledger.sessions_max as usize;
        let connections = flags.connections_max.or(file.connections_max);
        server.connections_max = connections.map_or(server.connections_max, |max| max as usize);
        if let Some(ms) = flags.request_deadline_ms.or(file.request_deadline_ms) {
            server.request_deadline = Duration::from_millis(ms);
        }
        let degrade_ms = flags.reply_gate_degrade_ms.or(file.reply_gate_degrade_ms);
        let replicas = flags.reply_gate.clone().or(file.reply_gate);
        let gate = gate_of(&replicas.unwrap_or_default(), degrade_ms.unwrap_or(0))?;
        let addresses = flags.addresses.clone().or(file.addresses);
        let config = Self {
            addresses: addresses.unwrap_or_else(|| "3000".into()),
            peers: flags
                .peers
                .clone()
                .or(file.peers)
                .filter(|peers| !peers.is_empty()),
            // An empty one switches off what the file has.
            http: flags
                .http
                .clone()
                .or(file.http)
                .filter(|http| !http.is_empty()),
            // 0 switches off what the file has.
            shadow_ledgers: flags
                .shadow_ledgers
                .or(file.shadow_ledgers)
                .filter(|count| *count > 0),
            log_kept_bytes: kept.saturating_mul(1 << 20),
            gate,
            ledger,
            server,
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        let within = |name: &str, value: u64, min: u64, max: u64| {
            if !(min..=max).contains(&value) {
                bail!("{name} is {value}; it must be {min} to {max}");
            }
            Ok(())
        };
        if let Some(count) = self.shadow_ledgers {
            let (min, max) = (SHADOW_LEDGERS_MIN.into(), SHADOW_LEDGERS_MAX.into());
            within("shadow_ledgers", count.into(), min, max)?;
        }
        let (ledger, server) = (&self.ledger, &self.server);
        let deadline_ms = u64::try_from(server.request_deadline.as_millis()).unwrap_or(u64::MAX);
        let prefault_mib = (ledger.prefault_bytes >> 20) as u64;
        for (name, value, min, max) in [
            ("shards", ledger.shards.into(), 1, SHARDS_MAX),
            ("reactors", server.reactors as u64, 1, REACTORS_MAX as u64),
            ("sessions_max", ledger.sessions_max.into(), 1, SESSIONS_MAX),
            ("buffers", ledger.buffers.into(), BUFFERS_MIN, BUFFERS_MAX),
            ("connections_max", server.connections_max as u64, 1, 1 << 20),
            (
                "accounts_max",
                ledger.accounts_max as u64,
                1 << 14,
                u32::MAX as u64 - 1,
            ),
            (
                "transfers_max",
                ledger.transfers_max as u64,
                1 << 14,
                (1 << 31) - 2,
            ),
            ("prefault_mib", prefault_mib, 0, MIB_MAX),
            ("log_spares", ledger.log.spares as u64, 1, LOG_SPARES_MAX),
            (
                "generation_rows",
                ledger.generation_rows as u64,
                GENERATION_ROWS_MIN,
                giro::open::GENERATION_ROWS_MAX as u64,
            ),
            ("log_kept_mib", self.log_kept_bytes >> 20, 0, MIB_MAX),
            ("request_deadline_ms", deadline_ms, 1, DAY_MS),
        ] {
            within(name, value, min, max)?;
        }
        Ok(())
    }
}

/// The gate of these replicas' numbers; none when there are none, which switches off what the file
/// has.
fn gate_of(replicas: &str, degrade_ms: u64) -> anyhow::Result<Option<GateOptions>> {
    if degrade_ms > DAY_MS {
        bail!("reply_gate_degrade_ms is {degrade_ms}; it must be 0 to {DAY_MS}");
    }
    if replicas.is_empty() {
        return Ok(None);
    }
    let number = |part: &str| {
        let number = part.trim().parse::<u8>();
        // Node ids begin with 1, replicas with 0.
        let id = number.map(|number| NodeId::from(number) + 1);
        id.with_context(|| format!("reply_gate has `{part}`, which is no replica's number"))
    };
    let replicas = replicas.split(',').map(number).collect::<Result<_, _>>()?;
    let degrade_ticks = (degrade_ms > 0).then(|| degrade_ms.div_ceil(TICK_MS));
    Ok(Some(GateOptions {
        replicas,
        degrade_ticks,
    }))
}

fn read_file(dir: &Path, given: Option<&Path>) -> anyhow::Result<File> {
    let own = dir.join("giro.toml");
    let path = match given {
        Some(path) => path,
        None if own.exists() => &own,
        None => return Ok(File::default()),
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("in the configuration {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_names_every_setting_with_its_default() {
        let live: String = TEMPLATE
            .lines()
            .map(|line| {
                line.strip_prefix("#")
                    .filter(|l| !l.starts_with(' '))
                    .unwrap_or("")
            })
            .map(|line| format!("{line}\n"))
            .collect();
        let file: File = toml::from_str(&live).expect("every commented setting is valid");
        let ledger = giro::Options::default();
        let server = giro_server::Options::default();
        assert_eq!(file.addresses.as_deref(), Some("3000"));
        assert_eq!(file.http.as_deref(), Some(""), "HTTP is off");
        assert_eq!(file.peers.as_deref(), Some(""), "from the addresses");
        assert_eq!(file.shards, Some(ledger.shards));
        assert_eq!(file.pin, Some(ledger.pin));
        assert_eq!(
            file.reactors,
            Some(giro_server::Options::reactors_for(1) as u32)
        );
        assert_eq!(file.sessions_max, Some(ledger.sessions_max));
        assert_eq!(file.connections_max, Some(server.connections_max as u32));
        assert_eq!(file.buffers, Some(ledger.buffers));
        assert_eq!(file.accounts_max, Some(ledger.accounts_max as u64));
        assert_eq!(file.transfers_max, Some(ledger.transfers_max as u64));
        assert_eq!(file.prefault_mib, Some(ledger.prefault_bytes as u64 >> 20));
        assert_eq!(file.log_spares, Some(LOG_SPARES));
        assert_eq!(file.archive, Some(ledger.archive));
        assert_eq!(file.generation_rows, Some(ledger.generation_rows as u32));
        assert_eq!(file.log_kept_mib, Some(LOG_KEPT_MIB));
        assert_eq!(file.reply_gate.as_deref(), Some(""), "a majority is enough");
        assert_eq!(file.reply_gate_degrade_ms, Some(0), "as long as it takes");
        assert_eq!(
            file.request_deadline_ms,
            Some(server.request_deadline.as_millis() as u64)
        );
    }

    #[test]
    fn flags_win_over_the_file_and_unknown_keys_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("giro.toml"), "shards = 2\nbuffers = 50\n").unwrap();
        let flags = Flags {
            shards: Some(3),
            ..Flags::default()
        };
        let config = Config::load(dir.path(), &flags).unwrap();
        assert_eq!((config.ledger.shards, config.ledger.buffers), (3, 50));
        std::fs::write(dir.path().join("giro.toml"), "sharts = 2\n").unwrap();
        let error = format!(
            "{:#}",
            Config::load(dir.path(), &Flags::default()).unwrap_err()
        );
        assert!(
            error.contains("sharts") && error.contains("giro.toml"),
            "{error}"
        );
    }

    #[test]
    fn the_port_has_as_many_threads_as_it_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let of = |reactors| {
            let flags = Flags {
                reactors,
                ..Flags::default()
            };
            Config::load(dir.path(), &flags).map(|config| config.server.reactors)
        };
        assert_eq!(of(Some(3)).unwrap(), 3);
        let by_itself = giro_server::Options::default().reactors;
        assert_eq!(of(None).unwrap(), by_itself);
        std::fs::write(dir.path().join("giro.toml"), "reactors = 5\n").unwrap();
        assert_eq!(of(None).unwrap(), 5);
        let error = of(Some(65)).unwrap_err().to_string();
        assert_eq!(error, "reactors is 65; it must be 1 to 64");
    }

    #[test]
    fn the_gate_names_replicas_and_rounds_its_limit_up() {
        let gate = gate_of("3, 4", 501).unwrap().unwrap();
        assert_eq!(gate.replicas, [4, 5]);
        assert_eq!(gate.degrade_ticks, Some(26));
        assert_eq!(gate_of("3", 0).unwrap().unwrap().degrade_ticks, None);
        assert_eq!(gate_of("", 500).unwrap(), None);
        for wrong in ["x", "3,", "256", "-1"] {
            let error = gate_of(wrong, 0).unwrap_err().to_string();
            assert!(error.contains("no replica's number"), "{error}");
        }
        gate_of("3", DAY_MS + 1).unwrap_err();
    }

    #[test]
    fn values_out_of_range_are_named() {
        let flags = Flags {
            shards: Some(0),
            ..Flags::default()
        };
        let error = Config::load(Path::new("nowhere"), &flags)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "shards is 0; it must be 1 to 64");
    }
}
