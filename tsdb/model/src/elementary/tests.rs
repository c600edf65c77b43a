//! Every value of `values.txt`, bit for bit.

use super::*;

/// A function of one number, or of two.
enum Function {
    One(fn(f64) -> f64),
    Two(fn(f64, f64) -> f64),
}

fn function(name: &str) -> Function {
    use Function::{One, Two};
    match name {
        "acos" => One(acos),
        "acosh" => One(acosh),
        "asin" => One(asin),
        "asinh" => One(asinh),
        "atan" => One(atan),
        "atan2" => Two(atan2),
        "atanh" => One(atanh),
        "cos" => One(cos),
        "cosh" => One(cosh),
        "exp" => One(exp),
        "exp2" => One(exp2),
        "ln" => One(ln),
        "log10" => One(log10),
        "log2" => One(log2),
        "pow" => Two(pow),
        "sin" => One(sin),
        "sinh" => One(sinh),
        "tan" => One(tan),
        "tanh" => One(tanh),
        other => panic!("{other}"),
    }
}

#[test]
fn every_bit_is_as_go_has_it() {
    let mut count = 0;
    for line in include_str!("values.txt").lines() {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let mut bits = words.map(|word| f64::from_bits(u64::from_str_radix(word, 16).unwrap()));
        let mut next = || bits.next().unwrap();
        let found = match function(name) {
            Function::One(f) => f(next()),
            Function::Two(f) => f(next(), next()),
        };
        let expected = next();
        let same = found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
        assert!(same, "{line}: {found:e} instead of {expected:e}");
        count += 1;
    }
    assert!(count >= 400, "{count}");
}
