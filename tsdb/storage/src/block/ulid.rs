//! What a block is called: 48 bits of milliseconds and 80 random bits in 26 letters (<https://github.com/ulid/spec>).

use leadline_model::entropy::Entropy;
use leadline_model::sample::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// Crockford's letters: no I, L, O, U.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Letters of one.
const LEN: usize = 26;

/// A block's name; orders as its text does, by time first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Ulid(u128);

/// A text that is no ULID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no ULID, expected 26 of 0-9 and A-Z without I, L, O, U, the first at most 7")]
pub struct UlidError(String);

impl Ulid {
    /// A name for something made at `now` (ms since the epoch; what does not fit into 48 bits is cut off).
    #[must_use]
    pub fn new(now: Timestamp, entropy: &dyn Entropy) -> Self {
        let time = u128::from(now.max(0) as u64 & ((1 << 48) - 1));
        let random = u128::from(entropy.next_u64() & 0xffff) << 64 | u128::from(entropy.next_u64());
        Self(time << 80 | random)
    }

    /// When it was made, ms since the epoch.
    #[must_use]
    pub fn time(self) -> Timestamp {
        (self.0 >> 80) as i64
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(LEN);
        for i in (0..LEN).rev() {
            let five = (self.0 >> (5 * i)) as usize & 31;
            text.push(LETTERS.get(five).map_or('0', |&b| char::from(b)));
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Ulid {
    type Err = UlidError;

    fn from_str(text: &str) -> Result<Self, UlidError> {
        let refuse = || UlidError(text.chars().take(2 * LEN).collect());
        // 26 letters of five bits are 130: the first may use three.
        if text.len() != LEN || text.as_bytes().first().is_none_or(|&b| b > b'7') {
            return Err(refuse());
        }
        text.bytes().try_fold(Self(0), |ulid, letter| {
            let five = LETTERS.iter().position(|&l| l == letter.to_ascii_uppercase());
            five.map(|five| Self(ulid.0 << 5 | five as u128)).ok_or_else(refuse)
        })
    }
}

impl Serialize for Ulid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ulid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_model::entropy::SeededEntropy;
    use proptest::prelude::*;

    #[test]
    fn a_name_tells_when_it_was_made() {
        let ulid: Ulid = "01DXXFZDYD1MQW6079WK0K6EDQ".parse().unwrap();
        assert_eq!(
            (ulid.to_string().as_str(), ulid.time()),
            ("01DXXFZDYD1MQW6079WK0K6EDQ", 1_578_316_576_717)
        );
        let made = Ulid::new(1_795_344_379_742, &SeededEntropy::new(1));
        assert_eq!(made.time(), 1_795_344_379_742);
        assert_eq!(made, Ulid::new(1_795_344_379_742, &SeededEntropy::new(1)));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "01DXXFZDYD1MQW6079WK0K6ED",
            "81DXXFZDYD1MQW6079WK0K6EDQ",
            "01DXXFZDYD1MQW6079WK0K6EDU",
            "01M81DX4R5G4GBZYRNFX5CX1BX.tmp",
        ] {
            assert!(text.parse::<Ulid>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_text_stands_for_the_number_and_orders_alike(a: u128, b: u128) {
            let (a, b) = (Ulid(a), Ulid(b));
            prop_assert_eq!(a.to_string().parse::<Ulid>(), Ok(a));
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
        }
    }
}
