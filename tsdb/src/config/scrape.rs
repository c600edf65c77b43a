//! One of `scrape_configs`.

use super::refused::{errors, not_yet};
use super::yaml::{ConfigError, Item, Place, Refused};
use leadline_discovery::{FileConfig, KubernetesConfig, StaticConfig};
use leadline_httpclient::settings::NotYet;
use leadline_httpclient::{Authorization, BasicAuth, Secret, TlsSettings};
use leadline_model::duration::Duration;
use leadline_model::relabel::RelabelConfig;
use leadline_scrape::{ByteSize, Protocol, Scheme};
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A job as it is written. What is absent comes from `global`, or has Prometheus' default.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrapeConfig {
    /// Names the job; unique in the file.
    pub job_name: Spanned<String>,
    #[serde(default)]
    pub(super) honor_labels: bool,
    #[serde(default = "yes")]
    pub(super) honor_timestamps: bool,
    #[serde(default)]
    pub(super) track_timestamps_staleness: bool,
    #[serde(default)]
    pub(super) params: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(super) scrape_interval: Option<Spanned<Duration>>,
    #[serde(default)]
    pub(super) scrape_timeout: Option<Spanned<Duration>>,
    #[serde(default)]
    pub(super) scrape_protocols: Option<Spanned<Vec<Protocol>>>,
    #[serde(default)]
    pub(super) fallback_scrape_protocol: Option<Spanned<Protocol>>,
    #[serde(default)]
    scrape_native_histograms: Option<Spanned<bool>>,
    /// Classic histograms are always scraped, so either value is met.
    #[serde(default, rename = "always_scrape_classic_histograms")]
    _always_scrape_classic_histograms: Option<bool>,
    #[serde(default)]
    convert_classic_histograms_to_nhcb: Option<Spanned<bool>>,
    #[serde(default)]
    extra_scrape_metrics: Option<Spanned<bool>>,
    #[serde(default)]
    pub(super) metrics_path: Option<String>,
    #[serde(default)]
    pub(super) scheme: Option<Scheme>,
    #[serde(default = "yes")]
    pub(super) enable_compression: bool,
    #[serde(default)]
    pub(super) body_size_limit: ByteSize,
    #[serde(default)]
    pub(super) sample_limit: usize,
    #[serde(default)]
    pub(super) target_limit: usize,
    #[serde(default)]
    pub(super) label_limit: usize,
    #[serde(default)]
    pub(super) label_name_length_limit: usize,
    #[serde(default)]
    pub(super) label_value_length_limit: usize,
    #[serde(default)]
    pub(super) keep_dropped_targets: usize,
    #[serde(default)]
    metric_name_validation_scheme: Option<Spanned<String>>,
    #[serde(default)]
    metric_name_escaping_scheme: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) relabel_configs: Option<Vec<Item<RelabelConfig>>>,
    #[serde(default)]
    pub(super) metric_relabel_configs: Option<Vec<Item<RelabelConfig>>>,

    // http_config, see `http`.
    #[serde(default)]
    pub(super) basic_auth: Option<Spanned<BasicAuth>>,
    #[serde(default)]
    pub(super) authorization: Option<Spanned<Authorization>>,
    #[serde(default)]
    pub(super) bearer_token: Option<Spanned<Secret>>,
    #[serde(default)]
    pub(super) bearer_token_file: Option<Spanned<PathBuf>>,
    #[serde(default)]
    pub(super) oauth2: Option<Spanned<NotYet>>,
    #[serde(default)]
    pub(super) tls_config: Option<Spanned<TlsSettings>>,
    #[serde(default = "yes")]
    pub(super) follow_redirects: bool,
    #[serde(default = "yes")]
    pub(super) enable_http2: bool,
    #[serde(default)]
    pub(super) proxy_url: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) no_proxy: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) proxy_from_environment: Option<Spanned<bool>>,
    #[serde(default)]
    pub(super) proxy_connect_header: Option<Spanned<NotYet>>,
    #[serde(default)]
    pub(super) http_headers: Option<Spanned<NotYet>>,

    // Discoveries that work.
    #[serde(default)]
    pub(super) static_configs: Option<Vec<Item<StaticConfig>>>,
    #[serde(default)]
    pub(super) file_sd_configs: Option<Vec<Item<FileConfig>>>,
    #[serde(default)]
    pub(super) kubernetes_sd_configs: Option<Vec<Item<KubernetesConfig>>>,

    // Known and refused.
    #[serde(default)]
    scrape_failure_log_file: Option<Refused>,
    #[serde(default)]
    native_histogram_bucket_limit: Option<Refused>,
    #[serde(default)]
    native_histogram_min_bucket_factor: Option<Refused>,
    #[serde(default)]
    aws_sd_configs: Option<Refused>,
    #[serde(default)]
    azure_sd_configs: Option<Refused>,
    #[serde(default)]
    consul_sd_configs: Option<Refused>,
    #[serde(default)]
    digitalocean_sd_configs: Option<Refused>,
    #[serde(default)]
    dns_sd_configs: Option<Refused>,
    #[serde(default)]
    docker_sd_configs: Option<Refused>,
    #[serde(default)]
    dockerswarm_sd_configs: Option<Refused>,
    #[serde(default)]
    ec2_sd_configs: Option<Refused>,
    #[serde(default)]
    ecs_sd_configs: Option<Refused>,
    #[serde(default)]
    elasticache_sd_configs: Option<Refused>,
    #[serde(default)]
    eureka_sd_configs: Option<Refused>,
    #[serde(default)]
    gce_sd_configs: Option<Refused>,
    #[serde(default)]
    hetzner_sd_configs: Option<Refused>,
    #[serde(default)]
    http_sd_configs: Option<Refused>,
    #[serde(default)]
    ionos_sd_configs: Option<Refused>,
    #[serde(default)]
    kuma_sd_configs: Option<Refused>,
    #[serde(default)]
    lightsail_sd_configs: Option<Refused>,
    #[serde(default)]
    linode_sd_configs: Option<Refused>,
    #[serde(default)]
    marathon_sd_configs: Option<Refused>,
    #[serde(default)]
    msk_sd_configs: Option<Refused>,
    #[serde(default)]
    nerve_sd_configs: Option<Refused>,
    #[serde(default)]
    nomad_sd_configs: Option<Refused>,
    #[serde(default)]
    oci_sd_configs: Option<Refused>,
    #[serde(default)]
    openstack_sd_configs: Option<Refused>,
    #[serde(default)]
    outscale_sd_configs: Option<Refused>,
    #[serde(default)]
    ovhcloud_sd_configs: Option<Refused>,
    #[serde(default)]
    puppetdb_sd_configs: Option<Refused>,
    #[serde(default)]
    rds_sd_configs: Option<Refused>,
    #[serde(default)]
    scaleway_sd_configs: Option<Refused>,
    #[serde(default)]
    serverset_sd_configs: Option<Refused>,
    #[serde(default)]
    stackit_sd_configs: Option<Refused>,
    #[serde(default)]
    triton_sd_configs: Option<Refused>,
    #[serde(default)]
    uyuni_sd_configs: Option<Refused>,
    #[serde(default)]
    vultr_sd_configs: Option<Refused>,
}

fn yes() -> bool {
    true
}

impl ScrapeConfig {
    /// All that is wrong with the job alone, as far as the types cannot say.
    pub(super) fn check(&self, file: &str) -> Vec<ConfigError> {
        let mut found = errors(file, self.refused_keys().into_iter().chain(self.refused_discoveries()));
        if self.job_name.value.is_empty() {
            found.push(Place::of(&self.job_name).error(file, "job_name is empty"));
        }
        for (key, flag) in [
            ("scrape_native_histograms", &self.scrape_native_histograms),
            (
                "convert_classic_histograms_to_nhcb",
                &self.convert_classic_histograms_to_nhcb,
            ),
            ("extra_scrape_metrics", &self.extra_scrape_metrics),
        ] {
            found.extend(
                flag.as_ref()
                    .filter(|f| f.value)
                    .map(|f| not_yet(file, Place::of(f), key)),
            );
        }
        found.extend(super::global::check_protocols(file, self.scrape_protocols.as_ref()));
        let (validation, escaping) = (&self.metric_name_validation_scheme, &self.metric_name_escaping_scheme);
        found.extend(super::global::check_names(file, validation.as_ref(), escaping.as_ref()));
        if let Some(protocol) = self.fallback_scrape_protocol.as_ref().filter(|p| !p.value.is_text()) {
            let what = format!("fallback_scrape_protocol {}", protocol.value.as_str());
            found.push(not_yet(file, Place::of(protocol), &what));
        }
        found.extend(self.url_target().map(|target| {
            let message = format!("{target:?} is not a valid hostname, expected host:port without scheme and path");
            Place::of(&self.job_name).error(file, message)
        }));
        found
    }

    /// A target written as a URL, where no relabelling could mend it.
    fn url_target(&self) -> Option<&str> {
        if self.relabel_configs.as_ref().is_some_and(|rules| !rules.is_empty()) {
            return None;
        }
        self.static_configs.iter().flatten().find_map(|config| config.0.url())
    }

    fn refused_keys(&self) -> [(&'static str, &Option<Refused>); 3] {
        [
            ("scrape_failure_log_file", &self.scrape_failure_log_file),
            ("native_histogram_bucket_limit", &self.native_histogram_bucket_limit),
            (
                "native_histogram_min_bucket_factor",
                &self.native_histogram_min_bucket_factor,
            ),
        ]
    }

    fn refused_discoveries(&self) -> [(&'static str, &Option<Refused>); 34] {
        [
            ("aws_sd_configs", &self.aws_sd_configs),
            ("azure_sd_configs", &self.azure_sd_configs),
            ("consul_sd_configs", &self.consul_sd_configs),
            ("digitalocean_sd_configs", &self.digitalocean_sd_configs),
            ("dns_sd_configs", &self.dns_sd_configs),
            ("docker_sd_configs", &self.docker_sd_configs),
            ("dockerswarm_sd_configs", &self.dockerswarm_sd_configs),
            ("ec2_sd_configs", &self.ec2_sd_configs),
            ("ecs_sd_configs", &self.ecs_sd_configs),
            ("elasticache_sd_configs", &self.elasticache_sd_configs),
            ("eureka_sd_configs", &self.eureka_sd_configs),
            ("gce_sd_configs", &self.gce_sd_configs),
            ("hetzner_sd_configs", &self.hetzner_sd_configs),
            ("http_sd_configs", &self.http_sd_configs),
            ("ionos_sd_configs", &self.ionos_sd_configs),
            ("kuma_sd_configs", &self.kuma_sd_configs),
            ("lightsail_sd_configs", &self.lightsail_sd_configs),
            ("linode_sd_configs", &self.linode_sd_configs),
            ("marathon_sd_configs", &self.marathon_sd_configs),
            ("msk_sd_configs", &self.msk_sd_configs),
            ("nerve_sd_configs", &self.nerve_sd_configs),
            ("nomad_sd_configs", &self.nomad_sd_configs),
            ("oci_sd_configs", &self.oci_sd_configs),
            ("openstack_sd_configs", &self.openstack_sd_configs),
            ("outscale_sd_configs", &self.outscale_sd_configs),
            ("ovhcloud_sd_configs", &self.ovhcloud_sd_configs),
            ("puppetdb_sd_configs", &self.puppetdb_sd_configs),
            ("rds_sd_configs", &self.rds_sd_configs),
            ("scaleway_sd_configs", &self.scaleway_sd_configs),
            ("serverset_sd_configs", &self.serverset_sd_configs),
            ("stackit_sd_configs", &self.stackit_sd_configs),
            ("triton_sd_configs", &self.triton_sd_configs),
            ("uyuni_sd_configs", &self.uyuni_sd_configs),
            ("vultr_sd_configs", &self.vultr_sd_configs),
        ]
    }
}
