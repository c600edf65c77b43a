//! Prometheus' own PromQL test scripts, on the real head and the real engine: one trial per file.

#![expect(clippy::print_stdout, reason = "the counts are what a reader of the run wants")]

mod compare;
#[path = "../data/mod.rs"]
mod data;
#[path = "../support/fronted.rs"]
mod fronted;
mod histograms;
mod own;
#[path = "../support/placeless.rs"]
mod placeless;
mod replaced;
mod run;
mod scope;
mod script;
mod series;
mod starts;
mod ways;

use leadline_promql::syntax::{Features, parse};
use libtest_mimic::{Arguments, Failed, Trial};
use run::Report;
use script::{Command, CommandKind, parse_script};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let (pinned, newest) = (data::promql_folder(), module_folder());
    if pinned.is_none() && newest.is_none() {
        data::say_skipped("the scripts");
        return libtest_mimic::run(&arguments, Vec::new()).exit_code();
    }
    let mut trials = vec![
        Trial::test("the runner notices what is wrong", notices_what_is_wrong),
        Trial::test("scripts of our own", own::pass),
        Trial::test("start times as a request asks for them", own::start_times_as_asked),
    ];
    trials.extend(pinned.into_iter().flat_map(|folder| of_pinned(&folder)));
    trials.extend(newest.into_iter().flat_map(|folder| scripts(&folder)).map(|path| {
        let name = format!("{}.test of the newest Prometheus", name_of(&path));
        Trial::test(name, move || run_newest(&path))
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The trials of the scripts whose evaluations are counted.
fn of_pinned(folder: &Path) -> Vec<Trial> {
    let mut trials = Vec::new();
    for path in scripts(folder) {
        let name = name_of(&path);
        let (script, file) = (path.clone(), name.clone());
        trials.push(Trial::test(format!("{name}.test"), move || run_file(&file, &script)));
        let printed = format!("{name}.test is printed as it was parsed");
        trials.push(Trial::test(printed, move || print_file(&path)));
    }
    for way in ways::WAYS {
        let folder = folder.to_owned();
        trials.push(Trial::test(way.name, move || way.pass(&scripts(&folder))));
    }
    let folder = folder.to_owned();
    trials.push(Trial::test("every file is there", move || none_is_missing(&folder)));
    trials
}

/// The scripts of the pinned Prometheus module (`$LEADLINE_PROMQLTEST`), where they are here.
fn module_folder() -> Option<PathBuf> {
    let module = std::env::var_os("LEADLINE_PROMQLTEST").map(PathBuf::from)?;
    module.is_dir().then_some(module)
}

/// The scripts of a folder, sorted.
fn scripts(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<_> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
        .collect();
    files.sort();
    files
}

fn name_of(path: &Path) -> String {
    path.file_stem()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Runs a script of the release that is followed, as it stands there.
fn run_newest(path: &Path) -> Result<(), Failed> {
    let name = name_of(path);
    let features = Features {
        unquoted_names: name == "unquoted_utf8_names",
        ..run::UPSTREAM
    };
    let commands = read(path)?;
    let report = run::run_with(&commands, features)?;
    report.print(&format!("newest {name}.test"));
    if let Some(complaint) = report.complaint() {
        return Err(complaint.into());
    }
    // The same from groups of the store.
    let features = Features {
        start_timestamps: false,
        ..features
    };
    let streamed = run::run_with(&commands, features)?;
    if report.passed == 0 || !streamed.failed.is_empty() {
        let failed = streamed.failed.join("\n");
        return Err(format!("{} evaluations; without start times:\n{failed}", report.passed).into());
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<Command>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    parse_script(&text)
}

/// A script of the pinned data, with the answers of the release that is followed.
fn read_pinned(path: &Path) -> Result<Vec<Command>, String> {
    let mut commands = read(path)?;
    replaced::apply(&name_of(path), &mut commands)?;
    Ok(commands)
}

fn run_file(name: &str, path: &Path) -> Result<(), Failed> {
    let report = run::run(&read_pinned(path)?)?;
    report.print(&format!("{name}.test"));
    if let Some(complaint) = report.complaint() {
        return Err(complaint.into());
    }
    match scope::expected(name) {
        Some(expected) if report.passed >= expected => Ok(()),
        Some(expected) => Err(format!("{} evaluations, {expected} were expected", report.passed).into()),
        None => Err("a file that is not in the list of counts".into()),
    }
}

/// Every file of the list is there.
fn none_is_missing(folder: &Path) -> Result<(), Failed> {
    let missing: Vec<_> = scope::files()
        .filter(|name| !folder.join(format!("{name}.test")).is_file())
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(missing.join(", ").into())
    }
}

/// A runner that lets everything pass would be worth nothing: each of these scripts is wrong in one thing.
fn notices_what_is_wrong() -> Result<(), Failed> {
    let load = "load 1m\n  m{a=\"1\"} 1+1x10\n  m{a=\"2\"} 10 _x3 stale\n\n";
    let right = "eval instant at 2m m\n  m{a=\"1\"} 3\n  m{a=\"2\"} 10";
    let wrong = [
        "eval instant at 2m m\n  m{a=\"1\"} 3.00001\n  m{a=\"2\"} 10",
        "eval instant at 2m m\n  m{a=\"1\"} 3",
        "eval instant at 2m m\n  m{a=\"1\"} 3\n  m{a=\"2\"} 10\n  m{a=\"3\"} 1",
        "eval instant at 2m m\n  m{a=\"1\"} NaN\n  m{a=\"2\"} 10",
        "eval instant at 2m sort_desc(m)\n  expect ordered\n  m{a=\"1\"} 3\n  m{a=\"2\"} 10",
        "eval instant at 4m m\n  m{a=\"1\"} 5\n  m{a=\"2\"} 10",
        "eval instant at 2m 1\n  2",
        "eval instant at 2m m\n  expect fail",
        "eval instant at 2m m +\n",
        "eval instant at 2m m + on() m\n  expect fail msg: something else",
        "eval instant at 2m rate(m[3m])\n  expect no_info\n  expect warn\n  {a=\"1\"} 0.016666666666666666",
        "eval instant at 2m \"a\"\n  expect string \"b\"",
        "eval range from 0 to 2m step 1m m{a=\"1\"}\n  m{a=\"1\"} 1 2 4",
        "eval range from 0 to 2m step 1m m{a=\"1\"}\n  m{a=\"1\"} 1 2",
        "eval instant at 2m m{a=\"1\"}[2m]\n  expect range vector from 1m to 2m step 30s\n  m{a=\"1\"} 2 3",
    ];
    let judge = |script: &str| -> Result<Report, String> {
        let commands = parse_script(&format!("{load}{script}\n"))?;
        run::run(&commands)
    };
    let report = judge(right)?;
    if report.passed != 1 || !report.failed.is_empty() {
        return Err(format!("{:?}", report.failed).into());
    }
    let unnoticed: Vec<_> = wrong
        .into_iter()
        .filter(|script| judge(script).is_ok_and(|r| r.failed.is_empty()))
        .collect();
    if unnoticed.is_empty() {
        Ok(())
    } else {
        Err(unnoticed.join("\n").into())
    }
}

/// Every expression parses, unless it is to fail, and reads back from its own text as the same tree.
fn print_file(path: &Path) -> Result<(), Failed> {
    let mut wrong = Vec::new();
    for command in read(path)? {
        let CommandKind::Eval(eval) = command.kind else {
            continue;
        };
        let expr = match parse(&eval.expr) {
            Ok(expr) => expr,
            Err(_) if eval.expect.fail.is_some() => continue,
            Err(error) => {
                wrong.push(format!("{}: {error}", eval.expr));
                continue;
            }
        };
        let printed = expr.to_string();
        match parse(&printed) {
            Ok(again) if placeless::tree(again.clone()) == placeless::tree(expr) && again.to_string() == printed => {}
            Ok(again) => wrong.push(format!("{} -> {printed} -> {again}", eval.expr)),
            Err(error) => wrong.push(format!("{} -> {printed}: {error}", eval.expr)),
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n").into())
    }
}
