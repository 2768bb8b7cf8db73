//! Makes Rust of the `.proto` files, and a description of them for reflection. Without a system's
//! `protoc`: protox reads the files itself.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

const FILES: [&str; 3] = [
    "giro/v1/ledger.proto",
    "giro/v1/branches.proto",
    "giro/v1/dtm.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("giro.v1.bin"), files.encode_to_vec())?;
    tonic_prost_build::configure()
        .codec_path("crate::grpc::Codec")
        .compile_fds(files)?;
    Ok(())
}
