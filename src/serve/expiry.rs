//! When the certificates that we serve with, and the authority that signs them, come to their end.
//!
//! Certificates are renewed by themselves. The authority is not: it lives for ten years, and whoever trusts it has to hear
//! of a new one. So its end is told long before it comes.

use crate::ready::{Condition, Ready};
use crate::serve::authority::CertError;
use crate::serve::certs::Serving;
use crate::serve::identity::AUTHORITY_SECRET;
use leadline_model::{Clock, Timestamp};
use rustls_pki_types::CertificateDer;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer, X509Certificate};

/// How often the authority is looked at.
const PERIOD: Duration = Duration::from_secs(86_400);
/// It is told of when less than this part of its life is left.
const PART: i64 = 10;
const DAY_MS: i64 = 86_400_000;

/// From when to when a certificate is valid, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    from: Timestamp,
    /// Its end.
    pub until: Timestamp,
}

impl Validity {
    /// That of a certificate; `place` is named in errors.
    ///
    /// # Errors
    /// [`CertError::Content`].
    pub(crate) fn of(place: &str, certificate: &CertificateDer<'_>) -> Result<Self, CertError> {
        let (_, certificate) = X509Certificate::from_der(certificate).map_err(|e| CertError::Content {
            place: place.to_owned(),
            reason: format!("an X.509 certificate was expected: {e}"),
        })?;
        let validity = certificate.validity();
        Ok(Self {
            from: validity.not_before.timestamp().saturating_mul(1000),
            until: validity.not_after.timestamp().saturating_mul(1000),
        })
    }

    /// What is to be said of an authority that has little of its life left at `now`.
    fn warning(self, now: Timestamp) -> Option<String> {
        let left = self.until.saturating_sub(now);
        if left >= self.until.saturating_sub(self.from) / PART {
            return None;
        }
        let end = match left {
            ..=0 => "has ended".to_owned(),
            _ => format!("ends in {} d", left / DAY_MS),
        };
        Some(format!(
            "the authority in the Secret {AUTHORITY_SECRET} {end}: delete the Secret and roll leadline out"
        ))
    }
}

/// The certificates of this process.
pub(crate) struct Certificates {
    /// Our own authority, where something is issued by it.
    pub authority: Option<Validity>,
    /// What the adapter serves.
    pub adapter: Arc<Serving>,
    /// What the scaler serves.
    pub scaler: Option<Arc<Serving>>,
}

impl Certificates {
    /// The end of each, ms, by its name. One that cannot be read is left out.
    pub(crate) fn ends(&self) -> Vec<(&'static str, Timestamp)> {
        let served = [("adapter", Some(&self.adapter)), ("scaler", self.scaler.as_ref())];
        let served = served
            .into_iter()
            .filter_map(|(name, serving)| Some((name, serving?.validity().ok()?)));
        let authority = self.authority.map(|authority| ("authority", authority));
        authority
            .into_iter()
            .chain(served)
            .map(|(name, validity)| (name, validity.until))
            .collect()
    }
}

/// What readiness says of an authority at `now`.
fn condition(authority: Validity, now: Timestamp) -> Condition {
    authority.warning(now).map_or(Condition::Met, Condition::Warned)
}

/// Tells the log and `ready` of an authority near its end, now and once a day, until `stop`.
pub(crate) async fn watch(authority: Validity, clock: Arc<dyn Clock>, ready: Ready, stop: CancellationToken) {
    loop {
        let condition = condition(authority, clock.now());
        if let Condition::Warned(warning) = &condition {
            tracing::warn!("{warning}");
        }
        ready.set("authority", condition);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::authority::{AUTHORITY_DAYS, Authority, certificates};

    const BORN: Timestamp = 1_800_000_000_000;

    fn validity(pem: &str) -> Validity {
        Validity::of("test", &certificates("test", pem).unwrap()[0]).unwrap()
    }

    #[test]
    fn a_certificates_end_is_read_from_it() {
        let authority = Authority::create(BORN).unwrap();
        let until = validity(authority.cert_pem()).until;
        assert_eq!(until, BORN + AUTHORITY_DAYS * DAY_MS);
        let leaf = authority.client("x", BORN).unwrap();
        assert_eq!(validity(&leaf.cert_pem).until, BORN + 90 * DAY_MS);
        let error = Validity::of("here", &vec![1, 2, 3].into()).unwrap_err().to_string();
        assert!(error.contains("here") && error.contains("X.509"), "{error}");
    }

    #[test]
    fn an_authority_is_warned_of_from_a_tenth_of_its_life_on_and_the_process_stays_ready() {
        let authority = validity(Authority::create(BORN).unwrap().cert_pem());
        let ready = Ready::default();
        for (day, told) in [
            (0, "[+]authority ok\n"),
            (3_284, "[+]authority ok\n"),
            (
                3_286,
                "[+]authority ok, warning: the authority in the Secret leadline-ca ends in 364 d: delete the Secret",
            ),
            (3_649, "ends in 1 d:"),
            (3_651, "has ended"),
        ] {
            ready.set("authority", condition(authority, BORN + day * DAY_MS));
            assert!(ready.is_ready() && ready.to_string().contains(told), "{day}: {ready}");
        }
    }
}
