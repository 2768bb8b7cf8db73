//! `giro version`.

/// What to print.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Also what it was built for and what it speaks.
    #[arg(long)]
    verbose: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    println!("giro {}", env!("CARGO_PKG_VERSION"));
    if arguments.verbose {
        println!(
            "target: {}-{}",
            std::env::consts::ARCH,
            std::env::consts::OS
        );
        println!(
            "build: {}",
            if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            }
        );
        println!("clients: TigerBeetle 0.16.4 to 0.17.x");
    }
    Ok(())
}
