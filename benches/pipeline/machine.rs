//! What the system says of itself and of processes.

use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) fn unique() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Processor, cores and load, as far as the system tells.
pub(crate) fn print_machine() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (cpu, load) = (read("/proc/cpuinfo"), read("/proc/loadavg"));
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    println!("{cores} cores ({}), load before the run {load}", model.map_or("unknown", |(_, model)| model));
}

/// CPU time of a process.
#[derive(Clone, Debug)]
pub(crate) struct Cpu {
    pid: Option<u32>,
    before: f64,
}

impl Cpu {
    pub(crate) fn of(pid: Option<u32>) -> Self {
        Self { pid, before: pid.and_then(seconds).unwrap_or(0.0) }
    }

    /// Seconds since this was made; 0 of a process that is not seen.
    pub(crate) fn used(&mut self) -> f64 {
        self.pid.and_then(seconds).map_or(0.0, |now| now - self.before)
    }
}

/// User and system time, in seconds. The clock ticks 100 times a second on every Linux there is.
fn seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces; it ends with the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

/// The broker, if it is a process that we started.
pub(crate) fn broker() -> Option<u32> {
    let children = std::fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let ours = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        parent == Some(std::process::id()) && command.split(|byte| *byte == 0).any(|word| word == b"kafka.Kafka")
    };
    let mut found = children.filter(ours);
    found.next()
}

pub(crate) fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}
