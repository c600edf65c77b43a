//! A real control plane, a real HPA and a real KEDA against the real binary and the manifests as they are shipped.
//!
//! Trials share clusters: a cluster has one provider of external.metrics.k8s.io, so there is one in which that is leadline
//! and one in which it is KEDA. Those of one cluster run one after the other, the two clusters side by side. A failed trial
//! prints the cluster's objects, events and logs.

mod access;
mod hpa;
mod hpa_zero;
mod kills;
mod lab;
mod lanes;
mod mtls;
mod new_workload;
mod reads;
mod rolling;
mod scaled_object;
mod secrets;
mod stage;
mod stand_in;
mod workload;

use leadline_testkit::exporter;
use libtest_mimic::{Arguments, Trial};
use stage::{Kind, Stage};
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "exporter") {
        return run_exporter(&args[1..]);
    }
    let mut arguments = Arguments::from_args();
    let Some(lane) = lanes::own() else {
        return lanes::run_all(&Kind::ALL.map(Kind::name));
    };
    arguments.test_threads = Some(1);
    let stage = Arc::new(Stage::new());
    let own = trials(&stage).into_iter().filter(|(kind, _)| kind.name() == lane);
    let conclusion = libtest_mimic::run(&arguments, own.map(|(_, trial)| trial).collect());
    stage.stop();
    conclusion.exit_code()
}

/// In the order in which those of a cluster run.
fn trials(stage: &Arc<Stage>) -> Vec<(Kind, Trial)> {
    use Kind::{Keda, Metrics};
    vec![
        stage.trial(
            "stand_in_runs_pods_with_addresses_of_their_own",
            Metrics,
            stand_in::pods,
        ),
        stage.trial(
            "stand_in_restarts_what_is_killed_and_no_count_is_lost",
            Metrics,
            stand_in::kill,
        ),
        stage.trial("stand_in_leads_services_to_ready_pods", Metrics, stand_in::services),
        stage.trial(
            "a_secret_that_no_longer_fits_is_renewed_by_whoever_made_it",
            Metrics,
            secrets::renewed,
        ),
        stage.trial(
            "an_hpa_with_pods_object_and_external_metrics_scales_up_and_down",
            Metrics,
            hpa::scales,
        ),
        stage.trial(
            "an_hpa_with_min_replicas_0_goes_to_zero_and_back",
            Metrics,
            hpa_zero::scales,
        ),
        stage.trial(
            "a_new_workload_is_not_scaled_down_while_its_windows_fill",
            Metrics,
            new_workload::stays,
        ),
        // Later than the others, because the API server lists a changed configuration's metrics within a minute only.
        stage.trial("discovery_lists_the_metrics", Metrics, hpa::discovery),
        stage.trial("reads_cost_no_list_of_pods", Metrics, reads::no_list),
        stage.trial(
            "who_may_not_read_gets_403_and_a_spoofed_user_gets_nothing",
            Metrics,
            access::denied,
        ),
        stage.trial("a_rolling_restart_is_not_seen_by_readers", Metrics, rolling::restart),
        stage.trial("keda_serves_external_metrics", Keda, stand_in::keda),
        stage.trial("only_kedas_certificate_opens_the_scaler", Keda, mtls::only_keda),
        stage.trial(
            "a_scaled_object_of_type_external_goes_from_zero_and_back",
            Keda,
            scaled_object::external,
        ),
        stage.trial(
            "a_scaled_object_of_type_external_push_goes_from_zero_and_back",
            Keda,
            scaled_object::external_push,
        ),
        stage.trial("keda_follows_an_authority_that_is_made_anew", Keda, mtls::made_anew),
        stage.trial(
            "nothing_moves_while_exporters_and_leadline_are_killed",
            Keda,
            kills::nothing_moves,
        ),
    ]
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
