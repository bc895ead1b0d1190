//! `sim SCENARIO [--seed N] [--seeds N] [--routers N] [--seconds N] [--twice] [--until-failure]
//! [--fault NAME]`: runs a scenario and prints what came of it. `cargo xtask sim` builds and calls
//! it.

// A program for people, that tells how much faster than the clock it was.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use ramson_sim::scenario::{Options, Report, run};

const USAGE: &str =
    "usage: sim SCENARIO [--seed N] [--seeds N] [--routers N] [--seconds N] [--twice] [--until-failure]
scenarios: join, churn, stalls, partition, skew, floods
  --seed     the first seed, 1 if not given
  --seeds    how many seeds, one after another
  --routers  how many routers, 100 if not given
  --seconds  how much longer than it needs the network runs before it is measured
  --twice    run each seed twice and compare the traces
  --until-failure  end with the first seed that fails
  --fault    the planted fault that this program was built with, for the command that is printed";

struct Arguments {
    options: Options,
    seeds: u64,
    twice: bool,
    until_failure: bool,
    fault: Option<String>,
}

fn arguments(mut given: impl Iterator<Item = String>) -> Option<Arguments> {
    let scenario = given.next()?.parse().ok()?;
    let mut arguments = Arguments {
        options: Options::new(scenario),
        seeds: 1,
        twice: false,
        until_failure: false,
        fault: None,
    };
    while let Some(name) = given.next() {
        if name == "--twice" {
            arguments.twice = true;
            continue;
        }
        if name == "--until-failure" {
            arguments.until_failure = true;
            continue;
        }
        if name == "--fault" {
            arguments.fault = Some(given.next()?);
            continue;
        }
        let value: u64 = given.next()?.parse().ok()?;
        match name.as_str() {
            "--seed" => arguments.options.seed = value,
            "--seeds" => arguments.seeds = value,
            "--routers" => arguments.options.routers = usize::try_from(value).ok()?,
            "--seconds" => arguments.options.extra_seconds = value,
            _ => return None,
        }
    }
    Some(arguments)
}

/// Runs it and prints the report; none if it panicked.
fn run_timed(options: &Options, fault: Option<&str>) -> Option<Report> {
    let began = Instant::now();
    let command = match fault {
        Some(fault) => format!("{} --fault {fault}", options.command()),
        None => options.command(),
    };
    let Ok(report) = catch_unwind(AssertUnwindSafe(|| run(options))) else {
        println!("{}: seed {}", options.scenario, options.seed);
        println!("  FAILED: a part panicked");
        println!("  again: {command}");
        return None;
    };
    let took = began.elapsed().as_secs_f64();
    let times = report.time.as_secs_f64() / took;
    print!("{report}");
    if !report.failures.is_empty() {
        println!("  again: {command}");
    }
    println!("  {took:.1} s of real time, {times:.1} times as fast");
    Some(report)
}

fn main() -> ExitCode {
    let Some(Arguments {
        options,
        seeds,
        twice,
        until_failure,
        fault,
    }) = arguments(std::env::args().skip(1))
    else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let mut failed = 0;
    for seed in (options.seed..).take(usize::try_from(seeds).unwrap_or(usize::MAX)) {
        let options = Options { seed, ..options };
        let report = run_timed(&options, fault.as_deref());
        let mut good = report.as_ref().is_some_and(|it| it.failures.is_empty());
        if let Some(report) = report
            && twice
            && run(&options).trace != report.trace
        {
            println!("  FAILED: the second run was another one");
            good = false;
        }
        failed += u64::from(!good);
        if !good && until_failure {
            break;
        }
    }
    if seeds > 1 {
        println!("{}: {failed} of {seeds} seeds failed", options.scenario);
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
