//! Signals that come before everything has started.

use crate::world::{PATIENCE, binary, kubeconfig, until};
use leadline_testkit::process::Spec;
use rustix::process::Signal;

#[tokio::test]
async fn a_start_that_waits_outlives_sighup_and_ends_when_told() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            file.display().to_string()
        };
        let flags = [
            format!("--config.file={}", write("leadline.yaml", "global: {}\n")),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            // Its API server, which it takes itself to be a pod of, is not there; it is waited for.
            format!(
                "--kubeconfig={}",
                write("kubeconfig", &kubeconfig("http://127.0.0.1:1"))
            ),
        ];
        let spec = Spec::new("leadline", binary(), folder.path()).env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
        let listen = ["web", "adapter", "scaler"].map(|name| format!("--{name}.listen-address=127.0.0.1:0"));
        let process = spec.args(["serve"]).args(flags).args(listen).start().unwrap();
        let log = || std::fs::read_to_string(folder.path().join("leadline.log")).unwrap_or_default();
        let ended = || process.exited().is_some();
        let waits = |times: usize| {
            until("another attempt", log, async move || {
                (ended() || log().matches("trying again").count() >= times).then_some(())
            })
        };
        waits(1).await;
        process.signal(Signal::HUP);
        waits(2).await;
        assert!(!ended(), "SIGHUP ended it:\n{}", log());
        process.signal(signal);
        let ended = tokio::time::timeout(PATIENCE, process.wait()).await;
        let ended = ended.unwrap_or_else(|_| panic!("it did not end:\n{}", log()));
        assert_eq!(ended.code(), Some(0), "{}", log());
        assert!(!log().contains("listening"), "{}", log());
    }
}
