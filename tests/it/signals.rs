//! Signals that come before everything has started.

use crate::world::{PATIENCE, binary, kubeconfig, until};
use leadline_testkit::process::{Process, Spec};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// A leadline whose start waits for what its kubeconfig names.
struct Waiting {
    process: Process,
    folder: TempDir,
}

impl Waiting {
    fn start(folder: TempDir, api_server: &str) -> Self {
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            file.display().to_string()
        };
        let flags = [
            format!("--config.file={}", write("leadline.yaml", "global: {}\n")),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--kubeconfig={}", write("kubeconfig", api_server)),
        ];
        let spec = Spec::new("leadline", binary(), folder.path()).env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
        let listen = ["web", "adapter", "scaler"].map(|name| format!("--{name}.listen-address=127.0.0.1:0"));
        let process = spec.args(["serve"]).args(flags).args(listen).start().unwrap();
        Self { process, folder }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("leadline.log")).unwrap_or_default()
    }

    fn has_ended(&self) -> bool {
        self.process.exited().is_some()
    }

    /// Sends it and expects a good end, before anything was started.
    async fn ends_well(&self, signal: Signal) {
        self.process.signal(signal);
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        let ended = ended.unwrap_or_else(|_| panic!("it did not end:\n{}", self.log()));
        assert_eq!(ended.code(), Some(0), "{}", self.log());
        assert!(!self.log().contains("listening"), "{}", self.log());
    }
}

#[tokio::test]
async fn a_start_that_waits_outlives_sighup_and_ends_when_told() {
    for signal in [Signal::TERM, Signal::INT] {
        // Its API server, which it takes itself to be a pod of, is not there; it is waited for.
        let leadline = Waiting::start(tempfile::tempdir().unwrap(), &kubeconfig("http://127.0.0.1:1"));
        let waits = |times: usize| {
            until("another attempt", || leadline.log(), {
                let leadline = &leadline;
                async move || {
                    (leadline.has_ended() || leadline.log().matches("trying again").count() >= times).then_some(())
                }
            })
        };
        waits(1).await;
        leadline.process.signal(Signal::HUP);
        waits(2).await;
        assert!(!leadline.has_ended(), "SIGHUP ended it:\n{}", leadline.log());
        leadline.ends_well(signal).await;
    }
}

/// The programs that a process of this id started, which are in its group, end with this.
struct Group(i32);

impl Drop for Group {
    fn drop(&mut self) {
        // There is none left where the test has failed early.
        let _ = Pid::from_raw(self.0).map(|group| kill_process_group(group, Signal::KILL));
    }
}

#[tokio::test]
async fn a_start_that_waits_for_a_program_with_its_credentials_ends_when_told() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let begun = folder.path().join("begun");
        let script = format!("touch {}; exec sleep 600", begun.display());
        let exec = format!(
            "{{exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, \
             args: [-c, \"{script}\"]}}}}"
        );
        let api_server = kubeconfig("https://127.0.0.1:1").replace("user: {}", &format!("user: {exec}"));
        let leadline = Waiting::start(folder, &api_server);
        let _programs = Group(leadline.process.id());
        let runs = async || (leadline.has_ended() || begun.exists()).then_some(());
        until("the program to run", || leadline.log(), runs).await;
        assert!(!leadline.has_ended(), "{}", leadline.log());
        leadline.ends_well(signal).await;
    }
}
