//! `--enable-feature`, for commands that tell their user at once what is wrong with it.

use leadline_promql::syntax::Features;

/// The features of these names; says on standard error which of them turn nothing on.
#[expect(clippy::print_stderr, reason = "this is how a command line tells its user")]
pub(super) fn read(names: &str) -> Features {
    let (features, idle) = Features::named([names]);
    for (name, why) in idle {
        eprintln!("leadline: warning: {why}: {name}");
    }
    features
}
