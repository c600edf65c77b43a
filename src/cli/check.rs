//! `leadline check …`: is a file right, before it is used?

use crate::cli::{fail, print};
use crate::config::Config;
use clap::Subcommand;
use leadline_promql::syntax::Features;
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
        features: Option<Features>,
    },
}

impl Check {
    /// Prints what is right or wrong; fails when anything is wrong.
    pub(crate) fn run(self) -> ExitCode {
        let Self::Config { files, features } = self;
        let mut code = ExitCode::SUCCESS;
        for file in files {
            print(&format_args!("Checking {}", file.display()));
            match Config::load(&file) {
                Ok(config) => {
                    let refused = config.refused_rules(features.unwrap_or_default());
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
