//! What is fuzzed: one function per parser, and what evaluates what was parsed. Any bytes get a value or an error; a panic is
//! a finding.

#[path = "evaluate.rs"]
mod evaluate;
#[path = "../../src/config.rs"]
#[expect(dead_code, reason = "the binary uses the rest")]
mod file;
#[path = "headers.rs"]
mod headers;
#[path = "remote.rs"]
mod remote;
#[path = "store.rs"]
mod store;

use leadline_adapter::Autoscaling;
use leadline_adapter::api::route::{self, ParsedQuery};
use leadline_adapter::quantity::Milli;
use leadline_cluster::{Mapper, Selector};
use leadline_exposition::{Event, Kind, OpenMetrics, Parser};
use leadline_model::LabelsBuilder;
use leadline_model::duration::Duration;
use leadline_model::regex::Regex;
use leadline_model::relabel::{self, RelabelConfig};
use leadline_model::sample::Samples;
use leadline_tsdb::config::parse_yaml;

/// A target's name (its corpus' folder), and what it does with bytes.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// Every target.
pub(crate) const TARGETS: &[Target] = &[
    ("certificate", remote::certificate),
    ("chunk", chunk),
    ("config", config),
    ("content_type", content_type),
    ("duration", duration),
    ("engine", evaluate::engine),
    ("exposition", exposition),
    ("file_sd", file_sd),
    ("grpc", remote::grpc),
    ("headers", headers::headers),
    ("json", evaluate::json),
    ("kubeconfig", kubeconfig),
    ("openmetrics", openmetrics),
    ("parameters", remote::parameters),
    ("promql", promql),
    ("quantity", quantity),
    ("record", record),
    ("regex", regex),
    ("relabel", relabel),
    ("request", request),
    ("rules", rules),
    ("segment", segment),
    ("selector", selector),
    ("series", series),
    ("trigger", trigger),
    ("trust", remote::trust),
];

/// Runs the target `name` on bytes.
#[expect(clippy::panic, reason = "only a target of cargo-fuzz with a wrong name comes here")]
pub(crate) fn run(name: &str, bytes: &[u8]) {
    match TARGETS.iter().find(|target| target.0 == name) {
        Some(target) => target.1(bytes),
        None => panic!("no target is called {name}"),
    }
}

/// The text format: events of the fast lane, labels of the strict one.
fn exposition(bytes: &[u8]) {
    let mut parser = Parser::new(bytes);
    let mut pairs = Vec::new();
    while let Ok(Some(event)) = parser.next_event() {
        if let Event::Sample { series, .. } = event {
            // A refusal is an answer.
            let _ = leadline_exposition::parse_series(series, parser.kind(), &mut pairs);
        }
    }
}

/// OpenMetrics line by line, and the labels of its samples.
fn openmetrics(bytes: &[u8]) {
    let mut reader = OpenMetrics::new();
    let mut pairs = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(sample) = reader.read_line(line) else { return };
        if let Some(sample) = sample {
            assert!(!sample.series.is_empty(), "a sample has a series");
            let _ = leadline_exposition::parse_series(sample.series, reader.kind(), &mut pairs);
        }
    }
    // That it did not end is an answer.
    let _ = reader.finish();
}

/// The strict lane alone; the first byte chooses the type.
fn series(bytes: &[u8]) {
    let Some((first, series)) = bytes.split_first() else {
        return;
    };
    let kinds = [
        Kind::Counter,
        Kind::Gauge,
        Kind::Histogram,
        Kind::Summary,
        Kind::Untyped,
    ];
    let mut pairs = Vec::new();
    if leadline_exposition::parse_series(series, kinds[usize::from(*first) % kinds.len()], &mut pairs).is_ok() {
        assert!(
            pairs.is_sorted_by(|a, b| a.0 < b.0),
            "labels are sorted and each is there once"
        );
    }
}

/// PromQL: what is accepted prints, and what is printed is accepted, is the same tree and prints the same.
#[expect(clippy::panic, reason = "a panic is how a target tells a finding")]
fn promql(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok((expr, _)) = leadline_promql::check::parse_checked(text) else {
        return;
    };
    let printed = expr.to_string();
    match leadline_promql::check::parse_checked(&printed) {
        Ok((again, _)) => {
            assert_eq!(again.to_string(), printed, "printed twice");
            assert_eq!(placeless(&again), placeless(&expr), "{printed:?} is another tree");
        }
        Err(error) => panic!("{printed:?} was printed and is refused: {error}"),
    }
}

/// A tree without the places of its nodes, and with matchers in the order in which they are printed.
fn placeless(expr: &leadline_promql::syntax::ast::Expr) -> String {
    let mut expr = expr.clone();
    expr.for_each_selector_mut(&mut |selector| selector.matchers.sort_by_cached_key(ToString::to_string));
    let shown = format!("{expr:?}");
    let mut parts = shown.split("Span { start: ");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        rest.push_str(part.split_once(" }").map_or(part, |(_, behind)| behind));
    }
    rest
}

/// Regular expressions: the first line is the pattern, the rest a value.
fn regex(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (pattern, value) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(regex) = Regex::new(pattern) {
        let matched = regex.is_match(value);
        assert_eq!(regex.expand(value, "$0").is_some(), matched, "{pattern:?} on {value:?}");
    }
}

/// Kubernetes label selectors.
fn selector(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(selector) = Selector::parse(text) {
        let printed = selector.to_string();
        assert!(
            Selector::parse(&printed).is_ok(),
            "{printed:?} was printed and is refused"
        );
    }
}

/// Prometheus' durations.
fn duration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(duration) = Duration::parse(text) {
        assert_eq!(Duration::parse(&duration.to_string()), Ok(duration), "{text:?}");
    }
}

/// Stored chunks of every encoding. Damage is an error, never a panic.
fn chunk(bytes: &[u8]) {
    use leadline_storage::chunk::{Encoding, decode, decode_histograms};
    let (mut samples, mut histograms) = (Samples::default(), Vec::new());
    for encoding in (0..u8::MAX).map_while(|number| Encoding::from_number(number + 1)) {
        let read = if encoding.is_float() {
            decode(encoding, bytes, i64::MIN, i64::MAX, &mut samples)
        } else {
            decode_histograms(encoding, bytes, i64::MIN, i64::MAX, &mut histograms)
        };
        let _ = read;
    }
}

/// Records of the write-ahead log. What is read of a record is no more than its bytes can say.
fn record(bytes: &[u8]) {
    use leadline_storage::wal::record::Record;
    let Ok(record) = Record::parse(bytes) else { return };
    let read = match record {
        Record::Series(entries) => entries.flatten().map(|e| e.labels.to_labels().len()).sum(),
        Record::Samples(entries) => entries.flatten().count(),
        Record::Tombstones(entries) => entries.flatten().count(),
        Record::Exemplars(entries) => entries.flatten().map(|e| e.to_exemplar().labels.len()).sum(),
        Record::MmapMarkers(entries) => entries.flatten().count(),
        Record::Metadata(entries) => entries.flatten().map(|e| e.to_metadata().help.len()).sum(),
        Record::Histograms(entries) => entries.flatten().count(),
        Record::MinValidTime(_) | Record::Unknown(_) => 0,
    };
    assert!(read <= bytes.len(), "{read} things in {} bytes", bytes.len());
}

/// A segment of the write-ahead log, of pieces with right checksums: of each its kind, a length and that many bytes.
fn segment(mut bytes: &[u8]) {
    use leadline_storage::codec::put_crc;
    use leadline_storage::disk::{Disk, MemoryDisk};
    use leadline_storage::wal::{Reader, repair, segment_path};
    let mut content = Vec::new();
    while let [kind, len, rest @ ..] = bytes {
        let (data, rest) = rest.split_at(rest.len().min(usize::from(*len)));
        content.push(*kind);
        content.extend((data.len() as u16).to_be_bytes());
        let mut summed = data.to_vec();
        put_crc(&mut summed, 0);
        content.extend(&summed[data.len()..]);
        content.extend(data);
        bytes = rest;
    }
    let disk = std::sync::Arc::new(MemoryDisk::new());
    let dir = std::path::Path::new("/wal");
    let write = || -> std::io::Result<()> {
        disk.create_dir_all(dir)?;
        disk.create(&segment_path(dir, 0))?.write_all(&content)
    };
    let read = || {
        let mut reader = Reader::open(disk.clone(), dir, ..).ok()?;
        let mut records = 0;
        while let Ok(Some(_)) = reader.next() {
            records += 1;
        }
        Some((records, reader.position(), reader.torn().is_some()))
    };
    assert!(write().is_ok(), "a disk in memory takes a file");
    let Some((records, position, _)) = read() else { return };
    let _ = repair(&*disk, dir, position.segment, position.offset);
    let again = read().map(|(records, _, torn)| (records, torn));
    assert_eq!(again, Some((records, false)), "repair keeps what was read");
}

/// The configuration file: what is wrong has a place, and what is shown of the rest holds no secret.
fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match file::Config::parse(text, "fuzz.yaml") {
        Ok(config) => {
            let told = config.refused_rules(leadline_promql::syntax::Features::LANGUAGE);
            assert!(told.iter().all(|problem| !problem.to_string().is_empty()));
            assert!(!config.shown().is_empty() || text.is_empty());
        }
        Err(errors) => assert!(!errors.0.is_empty(), "a refusal says why"),
    }
}

/// Files of targets, as YAML and as JSON.
fn file_sd(bytes: &[u8]) {
    for name in ["targets.yaml", "targets.json"] {
        // A refusal is an answer.
        let _ = leadline_discovery::file_targets(std::path::Path::new(name), bytes);
    }
}

/// A kubeconfig file, as the cluster's room reads it; each file that it names holds a certificate and a key. No command of
/// it is run.
fn kubeconfig(bytes: &[u8]) {
    const PEM: &str = concat!(
        include_str!("corpus/certificate/short.pem"),
        "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"
    );
    let path = std::path::Path::new("/etc/leadline/kubeconfig");
    match leadline_cluster::Access::parse(path, bytes, &|_| Ok(PEM.into())) {
        Ok(access) => {
            let server = access.server();
            let rest = server
                .strip_prefix("https://")
                .or_else(|| server.strip_prefix("http://"));
            assert!(
                rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', ':'])),
                "{server:?} has a scheme and a host"
            );
            // What a request to it is made of.
            let asked = format!("{}/api/v1/pods", server.trim_end_matches('/'));
            assert!(
                server.contains('?') || asked.parse::<http::Uri>().is_ok(),
                "{asked:?} is an address"
            );
        }
        Err(error) => {
            let told = error.to_string();
            assert!(told.contains("/etc/leadline/kubeconfig"), "{told} names the file");
            assert!(!error.reason.is_empty(), "{told} says what is wrong");
        }
    }
}

/// What a target says of a body, and the body: a line of `Content-Type`, one of `Content-Encoding`, bytes.
fn content_type(bytes: &[u8]) {
    use leadline_scrape::{Protocol, check_content_type, decode};
    const LIMIT: u64 = 64 * 1024;
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let mut headers = http::HeaderMap::new();
    for name in [http::header::CONTENT_TYPE, http::header::CONTENT_ENCODING] {
        let value = parts.next().map(http::HeaderValue::from_bytes);
        if let Some(Ok(value)) = value
            && !value.is_empty()
        {
            headers.insert(name, value);
        }
    }
    let alone = check_content_type(&headers, None);
    let told = check_content_type(&headers, Some(Protocol::PrometheusText004));
    let other = check_content_type(&headers, Some(Protocol::OpenMetricsText100));
    assert_eq!(
        alone.is_ok(),
        other.is_ok(),
        "a fallback that is not read changes nothing"
    );
    assert!(told.is_ok() || alone.is_err(), "a fallback refuses nothing");
    for error in [alone, told, other].into_iter().filter_map(Result::err) {
        assert!(error.to_string().contains("expected text/plain"), "{error}");
    }
    let came = parts.next().unwrap_or_default().to_vec();
    let (mut body, mut spare) = (came.clone(), Vec::new());
    if decode(&headers, LIMIT, &mut body, &mut spare).is_ok() {
        assert!(body.len() as u64 <= LIMIT || body == came, "{} bytes", body.len());
    }
}

/// Metric rules, their checks and their queries.
fn rules(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(rules) = parse_yaml::<Autoscaling>(text, "fuzz.yaml") else {
        return;
    };
    let told = rules.check(&Mapper::new(None));
    for problem in told {
        assert!(!problem.to_string().is_empty(), "a problem says something");
    }
    for rule in &rules.metrics {
        if let Err(error) = leadline_promql::query::Query::parse(&rule.query.value) {
            let problem = rule.query_problem(&leadline_standing::RegisterError::Invalid(error.into()));
            assert!(problem.to_string().contains("query"), "{problem}");
        }
    }
}

/// Requests for the metrics APIs: path and query.
fn request(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let query = ParsedQuery::parse(query);
    if let Ok(route) = route::parse(path) {
        let attributes = route.attributes(&http::Method::GET, query.watch);
        assert_eq!(
            attributes,
            route.attributes(&http::Method::GET, query.watch),
            "access depends on the path alone"
        );
    }
    for selector in [query.label_selector, query.metric_label_selector]
        .into_iter()
        .flatten()
    {
        // A refusal is an answer.
        let _ = Selector::parse(&selector);
    }
}

/// Values as Kubernetes writes them, eight bytes a value: what is written means the number.
fn quantity(bytes: &[u8]) {
    for chunk in bytes.chunks_exact(8) {
        let value = f64::from_le_bytes(chunk.try_into().unwrap_or_default());
        let Some(converted) = Milli::from_f64(value) else {
            continue;
        };
        let text = converted.milli.to_string();
        let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let scale = ["m", "", "k", "M", "G", "T", "P", "E"]
            .iter()
            .position(|s| *s == &text[split..]);
        let number: Option<i128> = text[..split].parse().ok();
        let read = number
            .zip(scale)
            .map(|(n, power)| n * 1000i128.pow(u32::try_from(power).unwrap_or(0)));
        assert_eq!(
            read,
            Some(i128::from(converted.milli.0)),
            "{value} was written {text:?}"
        );
    }
}

/// A trigger's metadata: `key=value` lines.
fn trigger(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let pair = |line: &str| line.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
    let metadata = text.lines().filter_map(pair).collect();
    if let Ok(trigger) = leadline_scaler::Trigger::parse(&metadata, &leadline_scaler::Settings::default()) {
        assert!(
            trigger.threshold > 0.0 && trigger.activation_threshold.is_finite(),
            "{trigger:?}"
        );
    }
}

/// Relabelling rules, run on a target's labels.
fn relabel(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(rules) = parse_yaml::<Vec<RelabelConfig>>(text, "fuzz.yaml") else {
        return;
    };
    let mut labels = LabelsBuilder::default();
    for (name, value) in [
        ("__address__", "10.0.0.1:8080"),
        ("job", "api"),
        ("pod", "api-0"),
        ("tier", "É"),
    ] {
        labels.set(name, value);
    }
    if relabel::apply(&rules, &mut labels) {
        assert!(
            labels.iter().all(|(name, value)| !name.is_empty() && !value.is_empty()),
            "{labels:?}"
        );
    }
}
