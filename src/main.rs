//! The `leadline` process.

mod app;
mod cli;
mod config;
mod demo;
mod memory;
mod ready;
mod reload;
mod serve;
mod shutdown;
mod signals;
mod storage;
mod telemetry;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Fails only when a provider is installed already, which is then this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    cli::Cli::parse().run()
}
