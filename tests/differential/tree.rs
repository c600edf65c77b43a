//! Expressions as trees of text: what a generator builds and a shrinker takes apart. They know PromQL's types and
//! nothing else of it, so that nothing of leadline's parser decides what is asked.

use std::collections::BTreeSet;
use std::fmt;

/// PromQL's types, but for text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number.
    Scalar,
    /// An instant vector.
    Vector,
    /// A range vector.
    Matrix,
}

/// A piece of an expression.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// Text that has to be there.
    Text(String),
    /// Text that may be left out.
    Maybe(String),
    /// An operand.
    Child(Tree),
}

/// An expression.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    /// Its type.
    pub(crate) kind: Kind,
    /// Its pieces, in order.
    pub(crate) parts: Vec<Part>,
    /// The functions, operators and modifiers that it has itself, without those of its operands.
    pub(crate) features: Vec<&'static str>,
}

impl Tree {
    /// An empty expression, to be added to.
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            parts: Vec::new(),
            features: Vec::new(),
        }
    }

    /// An expression without operands.
    pub(crate) fn leaf(kind: Kind, text: impl Into<String>) -> Self {
        Self::new(kind).text(text)
    }

    /// Adds text.
    pub(crate) fn text(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Text(text.into()));
        self
    }

    /// Adds text that may be left out.
    pub(crate) fn maybe(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Maybe(text.into()));
        self
    }

    /// Adds an operand.
    pub(crate) fn child(mut self, child: Self) -> Self {
        self.parts.push(Part::Child(child));
        self
    }

    /// Says what the expression has.
    pub(crate) fn has(mut self, feature: &'static str) -> Self {
        self.features.push(feature);
        self
    }

    /// Puts `leaf` in place of the operand with this number, counted from the outermost; whether there is one.
    pub(crate) fn put(&mut self, number: &mut usize, leaf: &Self) -> bool {
        self.parts.iter_mut().any(|part| match part {
            Part::Child(child) if *number == 0 => {
                *child = leaf.clone();
                true
            }
            Part::Child(child) => {
                *number -= 1;
                child.put(number, leaf)
            }
            _ => false,
        })
    }

    /// What it and its operands have, each once.
    pub(crate) fn all_features(&self) -> BTreeSet<&'static str> {
        let mut all: BTreeSet<&'static str> = self.features.iter().copied().collect();
        for child in self.children() {
            all.extend(child.all_features());
        }
        all
    }

    /// Whether something that has `feature` stands within something that has it.
    pub(crate) fn nests(&self, feature: &'static str) -> bool {
        let within = || self.children().any(|child| child.all_features().contains(feature));
        (self.features.contains(&feature) && within()) || self.children().any(|child| child.nests(feature))
    }

    /// Whether it or one below it is such an expression.
    pub(crate) fn any(&self, is: &impl Fn(&Self) -> bool) -> bool {
        is(self) || self.children().any(|child| child.any(is))
    }

    /// Its operands.
    pub(crate) fn children(&self) -> impl Iterator<Item = &Self> {
        self.parts.iter().filter_map(|part| match part {
            Part::Child(child) => Some(child),
            _ => None,
        })
    }

    /// Every expression below this one.
    fn descendants(&self) -> Vec<&Self> {
        self.children()
            .flat_map(|child| std::iter::once(child).chain(child.descendants()))
            .collect()
    }

    /// Expressions of the same type that are simpler by one step.
    pub(crate) fn simpler(&self) -> Vec<Self> {
        let same = |tree: &&Self| tree.kind == self.kind;
        let mut found: Vec<Self> = self.descendants().into_iter().filter(same).cloned().collect();
        let plain = match self.kind {
            Kind::Scalar => Self::leaf(Kind::Scalar, "1"),
            Kind::Vector => Self::leaf(Kind::Vector, "up"),
            Kind::Matrix => Self::leaf(Kind::Matrix, "up[1m]"),
        };
        if plain.to_string().len() < self.to_string().len() {
            found.push(plain);
        }
        for (i, part) in self.parts.iter().enumerate() {
            match part {
                Part::Text(_) => {}
                Part::Maybe(_) => {
                    let mut without = self.clone();
                    without.parts.remove(i);
                    found.push(without);
                }
                Part::Child(child) => found.extend(child.simpler().into_iter().map(|simple| {
                    let mut with = self.clone();
                    with.parts[i] = Part::Child(simple);
                    with
                })),
            }
        }
        found
    }

    /// What a query may consist of instead of this whole one.
    pub(crate) fn simpler_roots(&self) -> Vec<Self> {
        let asked = |tree: &&Self| matches!(tree.kind, Kind::Vector | Kind::Scalar) && tree.kind != self.kind;
        let other = self.descendants().into_iter().filter(asked).cloned();
        let mut all: Vec<Self> = other.chain(self.simpler()).collect();
        all.sort_by_key(|tree| tree.to_string().len());
        all.dedup_by_key(|tree| tree.to_string());
        all
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) | Part::Maybe(text) => f.write_str(text),
            Part::Child(child) => child.fmt(f),
        })
    }
}
