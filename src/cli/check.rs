//! `leadline check …`: is a file right, before it is used?

use crate::cli::{fail, features, print};
use crate::config::Config;
use clap::Subcommand;
use std::path::PathBuf;
use std::process::ExitCode;

/// Checks files.
#[derive(Debug, Subcommand)]
pub(crate) enum Check {
    /// Checks a configuration file: its form, its values, its metric rules and their PromQL.
    Config {
        /// The file.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Experimental parts of PromQL that `serve` is started with, by Prometheus' names and between commas.
        #[arg(long = "enable-feature", value_name = "NAMES")]
        features: Option<String>,
    },
}

impl Check {
    /// Prints what is right, doubtful or wrong; fails when anything is wrong.
    pub(crate) fn run(self) -> ExitCode {
        let Self::Config { files, features } = self;
        let features = features.as_deref().map(features::read).unwrap_or_default();
        let mut code = ExitCode::SUCCESS;
        for file in files {
            print(&format_args!("Checking {}", file.display()));
            match Config::load(&file) {
                Ok(config) => {
                    for warning in config.doubtful_rules() {
                        print(&format_args!("  WARNING: {warning}"));
                    }
                    let refused = config.refused_rules(features);
                    for error in &refused {
                        code = fail(error);
                    }
                    if refused.is_empty() {
                        print(&format_args!(
                            "  SUCCESS: {} is valid: {} scrape configurations, {} metric rules",
                            file.display(),
                            config.scrape.len(),
                            config.autoscaling.metrics.len()
                        ));
                    }
                }
                Err(errors) => code = fail(&errors),
            }
        }
        code
    }
}
