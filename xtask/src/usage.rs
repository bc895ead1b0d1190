//! What a process has used: CPU time and memory, as the kernel counts them.

use std::time::Duration;

use anyhow::{Context, Result};

/// The CPU time of all threads of a process so far, its own and the kernel's for it, in steps of
/// the kernel's tick (10 ms).
///
/// # Errors
/// When there is no such process.
pub fn cpu(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("no process {pid}"))?;
    let ticks = cpu_ticks(&text).with_context(|| format!("{path} is not as known"))?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

/// The memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All that is resident: VmRSS.
    pub resident: u64,
    /// What of it is its own and not a file's: RssAnon.
    pub anonymous: u64,
}

/// Reads what memory a process has now.
///
/// # Errors
/// When there is no such process.
pub fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("no process {pid}"))?;
    parse_memory(&text).with_context(|| format!("{path} is not as known"))
}

/// The fields 14 and 15, counted behind the name, which may contain anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

fn parse_memory(status: &str) -> Option<Memory> {
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes = line.strip_prefix(':')?.trim().strip_suffix(" kB")?;
        kilobytes.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Memory {
        resident: field("VmRSS")?,
        anonymous: field("RssAnon")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_does_not_mislead() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 99 0 0 0 250 31 5 6 20 0 1 0 8 9";
        assert_eq!(cpu_ticks(stat), Some(281));
        assert_eq!(cpu_ticks("7 (a) S 1"), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmRSS:\t    1024 kB\nRssAnon:\t     512 kB\nRssFile:\t 512 kB\n";
        let memory = Memory {
            resident: 1 << 20,
            anonymous: 1 << 19,
        };
        assert_eq!(parse_memory(status), Some(memory));
        assert_eq!(parse_memory("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_has_used_something() {
        let pid = std::process::id();
        assert!(memory(pid).unwrap().resident > 100_000);
        cpu(pid).unwrap();
        assert!(cpu(u32::MAX).is_err());
    }
}
