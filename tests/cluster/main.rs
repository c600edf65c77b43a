//! A real control plane, a real HPA and a real KEDA against the real binary and the manifests as they are shipped.
//!
//! Trials run one after the other and share clusters: a cluster has one provider of external.metrics.k8s.io, so there is
//! one in which that is leadline and one in which it is KEDA. A failed trial prints the cluster's objects, events and logs.

mod lab;
mod stage;
mod stand_in;
mod workload;

use leadline_testkit::exporter;
use libtest_mimic::{Arguments, Conclusion};
use stage::{Kind, Stage};
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "exporter") {
        return run_exporter(&args[1..]);
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let stage = Arc::new(Stage::new());
    let trials = vec![
        stage.trial(
            "stand_in_runs_pods_with_addresses_of_their_own",
            Kind::Metrics,
            stand_in::pods,
        ),
        stage.trial(
            "stand_in_restarts_what_is_killed_and_no_count_is_lost",
            Kind::Metrics,
            stand_in::kill,
        ),
        stage.trial("keda_serves_external_metrics", Kind::Keda, stand_in::keda),
    ];
    let conclusion: Conclusion = libtest_mimic::run(&arguments, trials);
    stage.stop();
    conclusion.exit_code()
}

/// The pods' image `exporter` is this very binary.
fn run_exporter(args: &[String]) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(exporter::run(args)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the pod's log")]
            {
                eprintln!("{error}");
            }
            ExitCode::FAILURE
        }
    }
}
