//! Walks PromQL's grammar at random: expressions of every type whose operands fit, so that most have a result.

use crate::catalogue::{
    AGGREGATIONS, ARITHMETIC, COMPARISONS, FUNCTIONS, Function, MODIFIERS, NUMBERS, PARAMETRIC, SETS, TEXTUAL, TRIMS,
};
use crate::random::Random;
use crate::selector::{Flavour, of_length, of_rate};
use crate::tree::{Kind, Tree};

/// A walk.
pub(crate) struct Grammar {
    /// Its choices.
    pub(crate) random: Random,
    /// What the next selector must have.
    pub(crate) wanted: Option<&'static str>,
    /// Whether selectors may be `anchored` and `smoothed` here.
    pub(crate) extended: bool,
}

/// Quantiles that are calculated: some of them move out of 0 to 1, or are no numbers.
pub(crate) const QUANTILES: &[&str] = &[
    "time() % 11 / 10",
    "time() % 7 / 4 - 0.25",
    "scalar(count(up)) / 10",
    "(time() % 2) / (time() % 2)",
    "time() % 60 / 60",
];

/// A function of a range.
fn of_range(name: &'static str, range: Tree) -> Tree {
    let tree = Tree::new(Kind::Vector).text(format!("{name}("));
    of_rate(tree.child(range).text(")").has(name))
}

impl Grammar {
    /// A walk with these choices.
    pub(crate) fn new(random: Random) -> Self {
        Self {
            random,
            wanted: None,
            extended: false,
        }
    }

    /// An expression that has `feature`, most often within others.
    pub(crate) fn about(&mut self, feature: &'static str) -> Tree {
        let mut tree = self.having(feature);
        for _ in 0..self.random.below(3) {
            tree = match tree.kind {
                Kind::Scalar => self.around_number(tree),
                Kind::Vector => self.around_vector(tree),
                Kind::Matrix => tree,
            };
        }
        tree
    }

    fn having(&mut self, feature: &'static str) -> Tree {
        let depth = self.random.below(3);
        if let Some(function) = FUNCTIONS.iter().find(|f| f.name == feature) {
            self.call(function, Kind::Vector, depth)
        } else if let Some(function) = NUMBERS.iter().find(|f| f.name == feature) {
            self.call(function, Kind::Scalar, depth)
        } else if TEXTUAL.contains(&feature) {
            self.textual(feature, depth)
        } else if AGGREGATIONS.contains(&feature) || PARAMETRIC.contains(&feature) {
            self.aggregation(feature, None, depth)
        } else if [ARITHMETIC, COMPARISONS, SETS, TRIMS]
            .iter()
            .any(|ops| ops.contains(&feature))
        {
            self.operation(feature, None, depth)
        } else {
            assert!(MODIFIERS.contains(&feature), "{feature}");
            self.modified(feature, depth)
        }
    }

    fn modified(&mut self, feature: &'static str, depth: usize) -> Tree {
        match feature {
            "by" | "without" => {
                let op = self.random.pick(AGGREGATIONS);
                self.aggregation(op, Some(feature), depth)
            }
            "bool" => {
                let op = self.random.pick(COMPARISONS);
                self.operation(op, Some(feature), depth)
            }
            "on" | "ignoring" | "group_left" | "group_right" => {
                let ops = if self.random.chance(60) {
                    ARITHMETIC
                } else {
                    COMPARISONS
                };
                let op = self.random.pick(ops);
                self.matched(op, Some(feature))
            }
            "fill" | "fill_left" | "fill_right" => {
                let ops = if self.random.chance(70) {
                    ARITHMETIC
                } else {
                    COMPARISONS
                };
                let op = self.random.pick(ops);
                self.filled(op, feature)
            }
            "subquery" => {
                let range = self.subquery(depth);
                self.over(range)
            }
            "unary minus" => {
                let operand = self.vector(depth);
                Tree::new(Kind::Vector)
                    .text("-(")
                    .child(operand)
                    .text(")")
                    .has("unary minus")
            }
            "anchored" => self.extended_call(&["rate", "increase", "delta", "resets", "changes"], feature),
            "smoothed" => self.extended_call(&["rate", "increase", "delta"], feature),
            _ => self.selecting(feature),
        }
    }

    /// A selector that has `feature`, by itself or in a range function.
    fn selecting(&mut self, feature: &'static str) -> Tree {
        let ranged = feature == "duration expression" || self.random.chance(40);
        self.wanted = Some(feature);
        if !ranged {
            return self.selector(Flavour::Any, false);
        }
        if feature == "duration expression" && self.random.chance(30) {
            return self.selector(Flavour::Any, false);
        }
        let range = self.selector(Flavour::Counter, true);
        self.over(range)
    }

    fn extended_call(&mut self, names: &[&'static str], feature: &'static str) -> Tree {
        let name = self.random.pick(names);
        self.wanted = Some(feature);
        let range = self.selector(Flavour::Counter, true);
        of_range(name, range)
    }

    /// A function of a range.
    fn over(&mut self, range: Tree) -> Tree {
        let names = [
            "avg_over_time",
            "changes",
            "count_over_time",
            "delta",
            "first_over_time",
            "increase",
            "irate",
            "last_over_time",
            "max_over_time",
            "min_over_time",
            "present_over_time",
            "rate",
            "resets",
            "sum_over_time",
        ];
        of_range(self.random.pick(&names), range)
    }

    /// A vector around a vector.
    fn around_vector(&mut self, inner: Tree) -> Tree {
        let tree = Tree::new(Kind::Vector);
        match self.random.below(8) {
            0 | 1 => {
                let op = self.random.pick(AGGREGATIONS);
                let (word, labels) = self.grouping(None);
                let tree = tree.text(op).has(op);
                let tree = match word {
                    Some(word) => tree.maybe(format!(" {word} ({labels}) ")).has(word),
                    None => tree,
                };
                tree.text("(").child(inner).text(")")
            }
            2 => {
                let number = self.number(0);
                let op = self.random.pick(ARITHMETIC);
                tree.text("(")
                    .child(inner)
                    .text(format!(") {op} "))
                    .child(number)
                    .has(op)
            }
            3 => {
                let names = [
                    "abs",
                    "ceil",
                    "floor",
                    "sgn",
                    "sqrt",
                    "timestamp",
                    "sort",
                    "ln",
                    "exp",
                    "deg",
                ];
                let name = self.random.pick(&names);
                tree.text(format!("{name}(")).child(inner).text(")").has(name)
            }
            4 => {
                let (function, range) = (
                    self.random.pick(&["max_over_time", "avg_over_time", "last_over_time"]),
                    "[3m:45s]",
                );
                tree.text(format!("{function}(("))
                    .child(inner)
                    .text(format!("){range})"))
                    .has(function)
                    .has("subquery")
            }
            5 => {
                let other = self.vector(0);
                tree.text("(").child(inner).text(") or ").child(other).has("or")
            }
            6 => {
                let op = self.random.pick(COMPARISONS);
                let number = self.number(0);
                tree.text("(")
                    .child(inner)
                    .text(format!(") {op} bool "))
                    .child(number)
                    .has(op)
                    .has("bool")
            }
            _ => tree.text("(").child(inner).text(")"),
        }
    }

    fn around_number(&mut self, inner: Tree) -> Tree {
        match self.random.below(3) {
            0 => {
                let op = self.random.pick(ARITHMETIC);
                let vector = self.vector(0);
                Tree::new(Kind::Vector)
                    .child(vector)
                    .text(format!(" {op} ("))
                    .child(inner)
                    .text(")")
                    .has(op)
            }
            1 => Tree::new(Kind::Vector)
                .text("vector(")
                .child(inner)
                .text(")")
                .has("vector"),
            _ => {
                let op = self.random.pick(ARITHMETIC);
                let number = self.number(0);
                Tree::new(Kind::Scalar)
                    .text("(")
                    .child(inner)
                    .text(format!(") {op} "))
                    .child(number)
                    .has(op)
            }
        }
    }

    /// A vector of any flavour.
    pub(crate) fn vector(&mut self, depth: usize) -> Tree {
        if depth == 0 || self.random.chance(30) {
            let flavour = if self.random.chance(70) {
                Flavour::Gauge
            } else {
                Flavour::Any
            };
            return self.selector(flavour, false);
        }
        match self.random.below(10) {
            0..3 => {
                let function = &FUNCTIONS[self.random.below(FUNCTIONS.len())];
                self.call(function, Kind::Vector, depth - 1)
            }
            3 | 4 => {
                let op = self.random.pick(AGGREGATIONS);
                self.aggregation(op, None, depth - 1)
            }
            5 => {
                let op = self.random.pick(PARAMETRIC);
                self.aggregation(op, None, depth - 1)
            }
            6 | 7 => {
                let op = self.random.pick(ARITHMETIC);
                self.operation(op, None, depth - 1)
            }
            8 => {
                let op = self.random.pick(SETS);
                self.operation(op, None, depth - 1)
            }
            _ => {
                let range = self.selector(Flavour::Counter, true);
                self.over(range)
            }
        }
    }

    /// A number.
    pub(crate) fn number(&mut self, depth: usize) -> Tree {
        let literals = [
            "0", "1", "2", "0.5", "-1", "3.25", "10", "1e3", "0x1F", "1e-7", "Inf", "NaN", "5m", "1_000", "-0.75",
            "100",
        ];
        if depth == 0 || self.random.chance(70) {
            let text = self.random.pick(&literals);
            let tree = Tree::leaf(Kind::Scalar, text);
            return match text {
                "5m" => tree.has("duration as number"),
                "1_000" => tree.has("digits with _"),
                _ => tree,
            };
        }
        let function = &NUMBERS[self.random.below(NUMBERS.len())];
        self.call(function, Kind::Scalar, depth - 1)
    }

    /// A range vector.
    fn ranged(&mut self, flavour: Flavour, depth: usize) -> Tree {
        if depth > 0 && flavour != Flavour::Native && self.random.chance(20) {
            return self.subquery(depth - 1);
        }
        self.selector(flavour, true)
    }

    fn subquery(&mut self, depth: usize) -> Tree {
        let inner = self.vector(depth);
        let range = self.random.pick(&["5m", "3m", "10m", "90s", "1m + 2m", "7m30s"]);
        let step = self.random.pick(&["", "30s", "1m", "17s", "10", "15s * 2", "45s500ms"]);
        let mut tree = Tree::new(Kind::Matrix)
            .text("(")
            .child(inner)
            .text(")")
            .text(format!("[{range}:{step}]"))
            .has("subquery");
        tree = of_length(tree, step);
        if range.contains('+') || step.contains('*') {
            tree = tree.has("duration expression");
        }
        self.shifted(tree, None)
    }

    /// A call of a function of the table.
    fn call(&mut self, function: &Function, kind: Kind, depth: usize) -> Tree {
        let mut tree = Tree::new(kind).text(format!("{}(", function.name)).has(function.name);
        let (mut optional, mut first) = (false, true);
        for letter in function.arguments.chars() {
            if letter == '?' {
                optional = true;
                continue;
            }
            if (optional || letter == 'd') && self.random.chance(50) {
                break;
            }
            if !std::mem::take(&mut first) {
                tree = tree.text(", ");
            }
            let argument = self.argument(function.name, letter, depth);
            tree = tree.child(argument);
        }
        of_rate(tree.text(")"))
    }

    fn argument(&mut self, function: &str, letter: char, depth: usize) -> Tree {
        let extended = matches!(function, "rate" | "increase" | "delta" | "resets" | "changes");
        // Smoothing is not defined for counting changes.
        self.extended = extended && !matches!(function, "resets" | "changes");
        let argument = match letter {
            'v' => self.vector(depth),
            'h' => self.histogram(depth),
            'b' => self.buckets(depth),
            'm' => {
                let flavours = [Flavour::Any, Flavour::Gauge, Flavour::Counter, Flavour::Native];
                let flavour = self.random.pick(&flavours);
                self.ranged(flavour, depth)
            }
            'c' => {
                let flavour = self
                    .random
                    .pick(&[Flavour::Counter, Flavour::Counter, Flavour::Native, Flavour::Any]);
                self.ranged(flavour, depth)
            }
            'g' => {
                let flavour = self
                    .random
                    .pick(&[Flavour::Gauge, Flavour::Gauge, Flavour::Counter, Flavour::Any]);
                self.ranged(flavour, depth)
            }
            's' => self.number(depth),
            'p' if function != "double_exponential_smoothing" && self.random.chance(30) => {
                Tree::leaf(Kind::Scalar, self.random.pick(QUANTILES))
            }
            // Times of no calendar, and of one.
            'd' if self.random.chance(40) => {
                let numbers = [
                    "NaN",
                    "Inf",
                    "-Inf",
                    "1",
                    "-1e300",
                    "9.2233720368e18",
                    "-9.2233720368e18",
                    "time() * 1e9",
                ];
                let number = self.random.pick(&numbers);
                Tree::new(Kind::Vector).text(format!("vector({number})")).has("vector")
            }
            'p' => {
                let literals = [
                    "0.5", "0.9", "0.99", "0.1", "0", "1", "0.333", "0.25", "0.75", "1.5", "-0.1",
                ];
                // Beyond the ends only where that is no error.
                let n = if function == "double_exponential_smoothing" {
                    4
                } else {
                    literals.len()
                };
                Tree::leaf(Kind::Scalar, literals[self.random.below(n)])
            }
            _ => self.selector(Flavour::Counter, false),
        };
        self.extended = false;
        argument
    }

    /// Native histograms.
    fn histogram(&mut self, depth: usize) -> Tree {
        let tree = Tree::new(Kind::Vector);
        if depth == 0 || self.random.chance(40) {
            return self.selector(Flavour::Native, false);
        }
        match self.random.below(5) {
            0 | 1 => {
                let name = self
                    .random
                    .pick(&["rate", "increase", "avg_over_time", "sum_over_time", "irate", "delta"]);
                let range = self.selector(Flavour::Native, true);
                tree.text(format!("{name}(")).child(range).text(")").has(name)
            }
            2 | 3 => {
                let op = self.random.pick(&["sum", "avg"]);
                let inner = self.histogram(depth - 1);
                let (word, labels) = self.grouping(None);
                let tree = tree.text(op).has(op);
                let tree = match word {
                    Some(word) => tree.maybe(format!(" {word} ({labels}) ")).has(word),
                    None => tree,
                };
                tree.text("(").child(inner).text(")")
            }
            _ => {
                let inner = self.histogram(depth - 1);
                let op = self.random.pick(&["*", "/"]);
                let number = self.random.pick(&["2", "0.5", "-1", "3"]);
                tree.text("(").child(inner).text(format!(") {op} {number}")).has(op)
            }
        }
    }

    /// What a quantile can be taken of.
    fn buckets(&mut self, depth: usize) -> Tree {
        if self.random.chance(50) {
            return self.histogram(depth);
        }
        let tree = Tree::new(Kind::Vector);
        match self.random.below(3) {
            0 => self.selector(Flavour::Bucket, false),
            1 => {
                let range = self.selector(Flavour::Bucket, true);
                tree.text("rate(").child(range).text(")").has("rate")
            }
            _ => {
                let labels = self.random.pick(&["le", "le, job", "job, instance, le"]);
                let range = self.selector(Flavour::Bucket, true);
                tree.text(format!("sum by ({labels}) (rate("))
                    .child(range)
                    .text("))")
                    .has("sum")
                    .has("by")
                    .has("rate")
            }
        }
    }

    /// `by` or `without`, and labels.
    pub(crate) fn grouping(&self, wanted: Option<&'static str>) -> (Option<&'static str>, &'static str) {
        let labels = [
            "job",
            "instance",
            "job, instance",
            "code",
            "le",
            "mode, job",
            "path",
            "",
            "job, code, method",
        ];
        let word = match (wanted, self.random.below(3)) {
            (Some(word), _) => Some(word),
            (None, 0) => None,
            (None, 1) => Some("by"),
            _ => Some("without"),
        };
        (word, self.random.pick(&labels))
    }

    fn aggregation(&mut self, op: &'static str, wanted: Option<&'static str>, depth: usize) -> Tree {
        let operand = match self.random.below(4) {
            // Prometheus has no order of calculated series over a range; which of equals are kept could be any.
            _ if ["bottomk", "limitk", "topk"].contains(&op) => self.selector(Flavour::Any, false),
            0 => self.histogram(depth),
            1 => self.selector(Flavour::Counter, false),
            _ => self.vector(depth),
        };
        let mut tree = Tree::new(Kind::Vector).text(op).has(op);
        if let (Some(word), labels) = self.grouping(wanted) {
            tree = tree.maybe(format!(" {word} ({labels}) ")).has(word);
        }
        tree = tree.text("(");
        if PARAMETRIC.contains(&op) {
            // Half of them are calculated, and so move over a range.
            let parameter = match (op, self.random.chance(50)) {
                ("count_values", _) => "\"value\"",
                ("quantile", true) => self.random.pick(QUANTILES),
                ("quantile", false) => self.random.pick(&["0.5", "0.9", "0", "1", "0.37", "1.2", "-1"]),
                ("limit_ratio", true) => self.random.pick(&[
                    "time() % 13 / 6 - 1",
                    "time() % 5 / 2 - 1.25",
                    "scalar(count(up)) / 10",
                    "0 * time()",
                ]),
                ("limit_ratio", false) => self.random.pick(&["0.5", "-0.5", "0.1", "-0.9", "1", "0.75"]),
                (_, true) => self.random.pick(&[
                    "time() % 7 - 1",
                    "time() % 11 / 2",
                    "scalar(count(up))",
                    "time() % 2 - 1",
                ]),
                (_, false) => self.random.pick(&["1", "2", "3", "5", "100", "0", "2.9"]),
            };
            tree = tree.text(format!("{parameter}, "));
        }
        tree.child(operand).text(")")
    }
}
