//! Requests whose whole answers are the same, letter by letter: errors, metadata, trees of expressions, times and numbers.

/// Path and parameters, as in a URL but not escaped.
pub(crate) const REQUESTS: &[&str] = &[
    "labels",
    "labels?limit=2",
    "labels?limit=0",
    "labels?limit=x",
    "labels?limit=-1",
    "labels?limit=99999999999999999999",
    "labels?match[]=up",
    "labels?match[]=up&match[]={mode=~\"u.*\"}",
    "labels?match[]={}",
    "labels?match[]={job=~\".*\"}",
    "labels?match[]=up{",
    "labels?start=yesterday",
    "labels?end=1e400",
    "labels?start=2026-11-22T00:00:00Z&end=2026-11-24T00:00:00+02:00",
    "labels?start=1",
    "labels?start=1&end=2",
    "label/job/values",
    "label/job/values?limit=1",
    "label/job/values?match[]=queue_depth&match[]=irregular_total",
    "label/__name__/values",
    "label/__name__/values?match[]={job=\"odd\"}",
    "label/service.name/values",
    "label/U__service_2e_name/values",
    "label/U__service_2e_/values",
    "label/missing/values",
    "label/le/values?start=1795345200&end=1795345300",
    "series",
    "series?match[]=",
    "series?match[]=once",
    "series?match[]={__name__=~\"build.*|once\"}",
    "series?match[]=memory_bytes&match[]=up{job=\"api\"}",
    "series?match[]=up&limit=2",
    "series?match[]={}",
    "series?match[]=up&start=5&end=1",
    "series?match[]={\"http.server.duration\"}",
    "query",
    "query?query=",
    "query?query=up&time=now",
    "query?query=up&time=",
    "query?query=up&timeout=0",
    "query?query=up&timeout=-2s",
    "query?query=up&timeout=soon",
    "query?query=up&timeout=1e300",
    "query?query=up&lookback_delta=x",
    "query?query=up&limit=two",
    "query?query=1&time=1795345200.5",
    "query?query=1e-9&time=1795345200.125",
    "query?query=1e21&time=-1.25",
    "query?query=-0&time=0",
    "query?query=NaN&time=1795345200",
    "query?query=-Inf&time=1795345200",
    "query?query=time()&time=1795345200.285",
    "query?query=time()&time=1795345200.0009",
    "query?query=time()&time=2026-11-23T10:11:12.345678Z",
    "query?query=\"a<b>&c \\\\ \\t\\u2028 ü\"&time=1795345200.5",
    "query?query=vector(1e-9)&time=1795345200",
    "query?query=vector(123456789.125)&time=1795345200",
    "query?query=label_replace(vector(1), \"x\", \"<&>\", \"\", \"\")&time=1795345200",
    "query?query=once[1d]&time=1795351200",
    "query?query=sort_by_label(up, \"instance\")&limit=2&time=1795348801",
    "query?query=up offset 1y&time=1795348801",
    "query?query=quantile(7, up)&time=1795348801",
    "query?query=histogram_quantile(0.9, sum by (le) (rate(request_duration_seconds_bucket[5m])))&time=1795348800",
    "query?query=sum by (job) (latency_seconds)&time=1795348800",
    "query_range",
    "query_range?query=up",
    "query_range?query=up&start=1",
    "query_range?query=up&start=1&end=x",
    "query_range?query=up&start=2&end=1&step=1",
    "query_range?query=up&start=1&end=2",
    "query_range?query=up&start=1&end=2&step=0",
    "query_range?query=up&start=1&end=2&step=-1",
    "query_range?query=up&start=1&end=2&step=often",
    "query_range?query=up&start=0&end=11001&step=1",
    "query_range?query=vector(1)&start=0&end=11000&step=1000",
    "query_range?query=up[5m]&start=1&end=2&step=1",
    "query_range?query=\"text\"&start=1&end=2&step=1",
    "query_range?query=pi()&start=1795348800&end=1795348802&step=0.5",
    "query_range?query=once&start=1795347500&end=1795348000&step=1m30s",
    "query_range?query=sum by (path) (latency_seconds)&start=1795348800&end=1795348830&step=15",
    "query_exemplars?query=up",
    "query_exemplars?query=up&start=2&end=1",
    "query_exemplars?query=up{",
    "query_exemplars?query=",
    "query_exemplars?query=1",
    "query_exemplars?query=vector(1) + 2",
    "query_exemplars?query=rate(up)",
    "query_exemplars?query=sum(rate(up[5m])) by (job)",
    "query_exemplars?query=limitk(1, up) + on () fill(1) up",
    "metadata",
    "metadata?limit=x",
    "metadata?metric=up",
    "format_query",
    "format_query?query=sum(  rate( http_requests_total{ job=\"api\" , code=~\"5..\" }[5m] ) )by(job)",
    "format_query?query=topk(3, sum by (job, instance) (rate(http_requests_total{job=\"api\",method=\"get\"}[5m])) / on (job) group_left (version) (build_info > 0))",
    "format_query?query=a{b=\"1234567890\"} + on (job, instance, very_long_label_name) fill_left(5) c{d=\"1234567890\"} - -sum(x{y=\"0123456789\"})",
    "format_query?query=max_over_time((rate(http_requests_total{job=\"api\",method=\"get\",code=\"200\",instance=\"somewhere\"}[5m]))[30m:1m] @ end() offset 5m)",
    "format_query?query=((((((((http_requests_total{job=\"api\",method=\"get\",code=\"200\",instance=\"somewhere.far.away\"}))))))))",
    "format_query?query={\"http.server.duration\", \"service.name\"=\"x\"}",
    "format_query?query=up[",
    "parse_query",
    "parse_query?query=up",
    "parse_query?query=up{job=\"api\",code!~\"5..\"} offset 5m @ 1.5",
    "parse_query?query={__name__=\"up\",job=\"a\"}",
    "parse_query?query={\"up\",job=\"a\"}",
    "parse_query?query=rate(up[5m] offset -1m @ start())",
    "parse_query?query=rate(up[step() * 2 + (5m)] smoothed)",
    "parse_query?query=up[1h:5m] @ end() offset 1m",
    "parse_query?query=up[-(1m) + max_of(step(), range()):]",
    "parse_query?query=1 + 2 * -3",
    "parse_query?query=-up",
    "parse_query?query=+5m",
    "parse_query?query=\"te<x>t\"",
    "parse_query?query=a + b",
    "parse_query?query=a + 1",
    "parse_query?query=a > bool on (x, y) group_left (z) b",
    "parse_query?query=a * ignoring (x) group_right fill_left(2) b",
    "parse_query?query=a and on () b or c unless ignoring (d) e",
    "parse_query?query=sum without (a, b) (c)",
    "parse_query?query=topk(3, x)",
    "parse_query?query=count_values(\"v\", x)",
    "parse_query?query=label_replace(x, \"a\", \"b\", \"c\", \"d\")",
    "parse_query?query=round(x, 5)",
    "parse_query?query=hour()",
    "parse_query?query=label_join(x, \"a\", \"b\", \"c\")",
    "parse_query?query=((x))",
    "parse_query?query=x y",
    "parse_query?query=foo(x)",
    "parse_query?query=rate(x)",
];

/// Requests with names that only the feature `promql-unquoted-utf8-names` lets stand without quotes, and of rates of what has a
/// type with `type-and-unit-labels`.
pub(crate) const RARER: &[&str] = &[
    "series?match[]=http.server.duration",
    "series?match[]=up{service.name=\"x\"}",
    "series?match[]=up.{",
    "labels?match[]=http.server.duration",
    "label/job/values?match[]=http.server.duration",
    "targets/metadata?match_target={service.name=\"x\"}",
    "targets/metadata?match_target={service.name=",
    "query?query=count(http.server.duration)&time=1795348801",
    "query_exemplars?query=limitk(1, up) + on () fill(1) http.server.duration",
    "query?query=count(rate(http_requests_total[5m]))&time=1795348801",
    "query?query=count by (__type__) (increase(http_requests_total[5m]))&time=1795348801",
    "query?query=count(rate(label_replace(http_requests_total, \"__type__\", \"gauge\", \"\", \"\")[5m:1m]))&time=1795348801",
    "query?query=count(rate(label_replace(memory_bytes, \"__type__\", \"counter\", \"\", \"\")[5m:1m]))&time=1795348801",
    "query?query=count(increase(label_replace(memory_bytes, \"__type__\", \"histogram\", \"\", \"\")[5m:1m]))&time=1795348801",
    "query_range?query=count(rate(memory_bytes[5m]))&start=1795348800&end=1795348830&step=15",
];

/// Requests with parameters in the URL and in a form: path, those of the URL, those of the form.
type Twofold = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Which of two values counts, and how lists are put together.
pub(crate) const TWOFOLD: &[Twofold] = &[
    ("query", "query=1&time=5", &[("query", "2"), ("time", "7")]),
    ("query", "query=1&time=5", &[("time", "7")]),
    ("query", "query=1&time=5", &[("query", "")]),
    ("query_range", "query=1&start=1&end=2&step=1", &[("step", "")]),
    ("query", "query=&query=1&time=5", &[]),
    ("query", "time=5", &[("query", "1"), ("query", "2")]),
    ("series", "match[]=once&limit=1", &[("match[]", "up"), ("limit", "3")]),
    ("labels", "limit=1", &[("limit", "2")]),
    ("format_query", "query=a+b", &[("query", "a  +  c")]),
    (
        "query_range",
        "query=1&start=1&end=2&step=1",
        &[("query", "vector(2)"), ("start", "0"), ("step", "2")],
    ),
];

/// Splits a request into path and parameters.
pub(crate) fn split(request: &str) -> (String, Vec<(&str, &str)>) {
    let (path, parameters) = request.split_once('?').unwrap_or((request, ""));
    // An expression may have `=` and `&` of its own; names may not.
    let names = [
        "query",
        "match[]",
        "time",
        "start",
        "end",
        "step",
        "limit",
        "timeout",
        "lookback_delta",
        "metric",
        "match_target",
    ];
    let mut found: Vec<(&str, &str)> = Vec::new();
    let mut rest = parameters;
    while let Some((name, after)) = rest.split_once('=').filter(|(name, _)| names.contains(name)) {
        let next = names.iter().filter_map(|name| after.find(&format!("&{name}="))).min();
        let (value, more) = after.split_at(next.unwrap_or(after.len()));
        found.push((name, value));
        rest = more.strip_prefix('&').unwrap_or("");
    }
    (format!("/api/v1/{path}"), found)
}

#[test]
fn requests_are_split_at_the_names_of_parameters() {
    assert_eq!(split("labels"), ("/api/v1/labels".to_owned(), vec![]));
    assert_eq!(
        split("query?query=a{b=\"c&d\"}&time=1").1,
        [("query", "a{b=\"c&d\"}"), ("time", "1")]
    );
}
