//! What the store refuses of one target's samples, for the log: told when it begins, not with every scrape.

use crate::stats::REFUSALS;
use leadline_model::port::Refusal;

/// What was refused of a target's last scrape, by reason.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    counts: [u32; REFUSALS.len()],
    /// Reasons that were told of and that every scrape since had.
    told: [bool; REFUSALS.len()],
}

impl Refusals {
    /// Notes a sample that was not stored.
    pub(crate) fn note(&mut self, refusal: Refusal) {
        if let Some(at) = REFUSALS.iter().position(|r| *r == refusal) {
            self.counts[at] = self.counts[at].saturating_add(1);
        }
    }

    /// Ends a scrape: the counts of those reasons of which one is new, "3 out_of_order, 1 too_far_ahead"; `None` where there
    /// is nothing new to tell. What has an error or a remedy of its own is left out.
    pub(crate) fn end(&mut self) -> Option<String> {
        let mut news = false;
        let mut texts: Vec<String> = Vec::new();
        let all = REFUSALS.iter().zip(&mut self.counts).zip(&mut self.told);
        for ((refusal, count), told) in all {
            let count = std::mem::take(count);
            if matches!(
                refusal,
                Refusal::SeriesLimit | Refusal::UnknownSeries | Refusal::MemoryLimit
            ) {
                continue;
            }
            if count > 0 {
                texts.push(format!("{count} {}", refusal.as_str()));
            }
            news |= count > 0 && !*told;
            *told = count > 0;
        }
        news.then(|| texts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_when_it_begins_and_again_after_a_scrape_without_it() {
        use Refusal::{Duplicate, OutOfOrder, SeriesLimit};
        let mut refusals = Refusals::default();
        for (scrape, told) in [
            (&[OutOfOrder, OutOfOrder][..], Some("2 out_of_order")),
            (&[OutOfOrder], None),
            (&[Duplicate, OutOfOrder], Some("1 out_of_order, 1 duplicate")),
            (&[Duplicate], None),
            (&[SeriesLimit], None),
            (&[Duplicate], Some("1 duplicate")),
        ] {
            scrape.iter().for_each(|refusal| refusals.note(*refusal));
            assert_eq!(refusals.end().as_deref(), told, "{scrape:?}");
        }
    }
}
