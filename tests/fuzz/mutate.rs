//! Mutations of kept inputs: seeded, so that a run can be repeated.

/// Pieces that parsers treat specially.
const TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b"(",
    b")",
    b"[",
    b"]",
    b",",
    b"=",
    b"!=",
    b"=~",
    b"!~",
    b"\"",
    b"'",
    b"`",
    b"\\",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b"#",
    b"-",
    b"+",
    b"^",
    b"*",
    b"?",
    b"|",
    b".",
    b":",
    b"@",
    b"0",
    b"1e309",
    b"-1",
    b"NaN",
    b"+Inf",
    b"0x",
    b"5m",
    b"1h30m",
    b"offset ",
    b"by ",
    b"on ",
    b"in ",
    b"notin ",
    b"(?i)",
    b"\\Q",
    b"\\E",
    b"{1000}",
    b"\xff",
    b"\xc3\xa9",
    b"\0",
    b"sum(",
    b"rate(",
    b" bool ",
    b"group_left()",
    b"# TYPE ",
    b"# HELP ",
    b" counter",
    b"le=\"1\"",
    b"start()",
];

/// The longest input that is made as a rule, bytes.
const LONGEST: usize = 4096;
/// One input of so many is a long one.
const ONE_LONG_OF: usize = 2048;
/// How long it is at most, bytes: what a parser of expressions takes, and a little more.
const LONG: usize = 256 * 1024 + 16;

/// Makes inputs.
pub(crate) struct Mutator<'a> {
    kept: &'a [Vec<u8>],
    state: u64,
    current: Vec<u8>,
}

impl<'a> Mutator<'a> {
    /// Inputs made from `kept` (not empty); `name` is the seed.
    pub(crate) fn new(name: &str, kept: &'a [Vec<u8>]) -> Self {
        let state = name.bytes().fold(0x9e37_79b9_7f4a_7c15, |h: u64, b| {
            (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
        });
        Self {
            kept,
            state: state | 1,
            current: Vec::new(),
        }
    }

    /// Marsaglia's xorshift64*.
    fn random(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.random() % n.max(1) as u64) as usize
    }

    /// The next input.
    pub(crate) fn next(&mut self) -> &[u8] {
        let start = self.below(self.kept.len());
        self.current.clone_from(&self.kept[start]);
        for _ in 0..=self.below(4) {
            self.step();
        }
        self.current.truncate(LONGEST);
        if self.below(ONE_LONG_OF) == 0 {
            self.lengthen();
        }
        &self.current
    }

    /// Repeats a piece where it stands, so that what is done again for each part of an input is done very often.
    fn lengthen(&mut self) {
        let from = self.below(self.current.len());
        let to = (from + 1 + self.below(16)).min(self.current.len());
        let piece = self.current[from.min(to)..to].to_vec();
        // Not all of them longer than what is taken at all.
        let wanted = [LONG / 16, LONG / 2, LONG - 1024, LONG][self.below(4)];
        let times = wanted.saturating_sub(self.current.len()) / piece.len().max(1);
        self.current.splice(from..from, piece.repeat(times));
    }

    fn step(&mut self) {
        let at = self.below(self.current.len() + 1);
        match self.below(6) {
            0 => {
                let bit = self.below(8);
                if let Some(byte) = self.current.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            1 => {
                let byte = self.random() as u8;
                self.current.insert(at, byte);
            }
            2 => {
                let end = (at + 1 + self.below(8)).min(self.current.len());
                self.current.drain(at.min(end)..end);
            }
            3 => {
                let token = TOKENS[self.below(TOKENS.len())];
                self.current.splice(at..at, token.iter().copied());
            }
            4 => {
                let end = (at + 1 + self.below(32)).min(self.current.len());
                let piece = self.current[at.min(end)..end].to_vec();
                let to = self.below(self.current.len() + 1);
                self.current.splice(to..to, piece);
            }
            _ => {
                let other = &self.kept[self.below(self.kept.len())];
                let from = self.below(other.len() + 1);
                self.current.truncate(at);
                self.current.extend_from_slice(&other[from..]);
            }
        }
    }
}
