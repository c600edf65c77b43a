//! The data that is asked about: what a cluster of pods exposes. The same for every system, from numbers alone.
//!
//! Each pod has 1,000 series: 200 counters of requests, a histogram of 30 paths and 11 buckets, and 470 gauges.

/// Time of the first sample, ms.
pub(crate) const BEGIN: i64 = 1_793_491_200_000;
/// Series of a pod.
pub(crate) const SERIES: usize = 1_000;
/// Namespaces that pods are spread over.
pub(crate) const NAMESPACES: usize = 20;
/// Upper bounds of the histogram's buckets.
const BOUNDS: [&str; 11] = [
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "+Inf",
];

/// A pod's name.
pub(crate) fn pod(n: usize) -> String {
    format!("web-6f7d8c9b5-{n:05}")
}

/// The labels of series `i` of pod `n`.
pub(crate) fn labels(n: usize, i: usize) -> Vec<(&'static str, String)> {
    let namespace = format!("team-{:02}", n % NAMESPACES);
    let mut labels = vec![
        ("container", "app".to_owned()),
        ("instance", format!("10.0.{}.{}:8080", n / 250, n % 250)),
        ("job", format!("{namespace}/web")),
        ("namespace", namespace),
        ("pod", pod(n)),
    ];
    match i {
        0..200 => {
            labels.push(("__name__", "http_requests_total".to_owned()));
            labels.push(("path", format!("/api/v1/resource/{}", i / 8)));
            labels.push(("method", ["GET", "POST"][i / 4 % 2].to_owned()));
            labels.push(("code", ["200", "201", "404", "500"][i % 4].to_owned()));
        }
        200..530 => {
            let (path, bound) = ((i - 200) / 11, (i - 200) % 11);
            labels.push(("__name__", "http_request_duration_seconds_bucket".to_owned()));
            labels.push(("path", format!("/api/v1/resource/{path}")));
            labels.push(("le", BOUNDS[bound].to_owned()));
        }
        _ => {
            labels.push(("__name__", format!("app_gauge_{:02}", (i - 530) / 10)));
            labels.push(("device", format!("dev-{}", (i - 530) % 10)));
        }
    }
    labels
}

/// The values of one series, one after the other.
pub(crate) struct Values {
    random: u64,
    value: f64,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Grows by less than this.
    Counter(u64),
    /// Two decimals, below 100.
    Gauge,
    /// Never changes.
    Constant,
}

impl Values {
    /// Of series `i` of pod `n`.
    pub(crate) fn of(n: usize, i: usize) -> Self {
        let kind = match i {
            0..200 => Kind::Counter(40),
            // More observations are below a higher bound, always.
            200..530 => Kind::Counter(3 * (1 + (i as u64 - 200) % 11)),
            _ if i.is_multiple_of(4) => Kind::Constant,
            _ => Kind::Gauge,
        };
        // Buckets of one path grow together.
        let seed = if (200..530).contains(&i) {
            200 + (i - 200) / 11
        } else {
            i
        };
        let mut values = Self {
            random: (n as u64) << 32 | seed as u64,
            value: 0.0,
            kind,
        };
        values.value = (values.draw() % 100_000) as f64;
        if let Kind::Counter(most) = kind {
            values.value *= most as f64;
        }
        values
    }

    /// The next value.
    pub(crate) fn next(&mut self) -> f64 {
        let drawn = self.draw();
        match self.kind {
            Kind::Counter(most) => self.value += (drawn % 1_000 * most / 1_000) as f64,
            Kind::Gauge => self.value = (drawn % 10_000) as f64 / 100.0,
            Kind::Constant => {}
        }
        self.value
    }

    /// SplitMix64: public domain, by Sebastiano Vigna.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
