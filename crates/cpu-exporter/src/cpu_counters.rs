//! Counters that the kernel keeps for each CPU: by CPU, and summed over CPUs.

use std::collections::BTreeMap;

use crate::monotonic_counter::MonotonicCounter;

/// N counters of each CPU. Neither they nor their sums decrease, also when CPUs go offline and online: a CPU that goes
/// offline keeps its share of the sums, and one first seen after the sums started is a baseline and adds 0.
#[derive(Debug)]
pub(crate) struct CpuCounters<const N: usize> {
    cpus: BTreeMap<u32, Cpu<N>>,
    /// `None` before the first complete read, because they would start without the share of some CPUs.
    sums: Option<[u64; N]>,
    reads: u64,
}

#[derive(Debug)]
struct Cpu<const N: usize> {
    counters: [MonotonicCounter; N],
    /// Number of the last read that had this CPU.
    read: u64,
}

impl<const N: usize> Default for CpuCounters<N> {
    fn default() -> Self {
        Self { cpus: BTreeMap::new(), sums: None, reads: 0 }
    }
}

impl<const N: usize> CpuCounters<N> {
    /// Adds one read, which is not complete if the values of a CPU are invalid.
    pub(crate) fn add(&mut self, readings: impl IntoIterator<Item = (u32, [u64; N])>, complete: bool) {
        self.reads += 1;
        let start = self.sums.is_none() && complete;
        for (cpu, counts) in readings {
            let first_seen = !self.cpus.contains_key(&cpu);
            let cpu = self.cpus.entry(cpu).or_insert(Cpu { counters: [MonotonicCounter::default(); N], read: 0 });
            cpu.read = self.reads;
            for (index, (counter, now)) in cpu.counters.iter_mut().zip(counts).enumerate() {
                let before = counter.total();
                let increase = counter.add(now) - before;
                if let Some(sums) = self.sums.as_mut().filter(|_| !first_seen) {
                    sums[index] = sums[index].saturating_add(increase);
                }
            }
        }
        if start {
            let totals = self.cpus().map(|(_, totals)| totals);
            self.sums =
                Some(totals.fold([0; N], |sums, totals| {
                    std::array::from_fn(|index| sums[index].saturating_add(totals[index]))
                }));
        }
    }

    /// The sums over CPUs, from the first complete read on.
    pub(crate) fn sums(&self) -> Option<[u64; N]> {
        self.sums
    }

    /// The CPUs of the last read and their counters.
    pub(crate) fn cpus(&self) -> impl Iterator<Item = (u32, [u64; N])> {
        let online = self.cpus.iter().filter(|(_, cpu)| cpu.read == self.reads);
        online.map(|(number, cpu)| (*number, cpu.counters.each_ref().map(MonotonicCounter::total)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_continue_when_cpus_go_offline_and_online() {
        let mut counters = CpuCounters::default();
        let mut sum = |readings: &[(u32, u64)]| {
            counters.add(readings.iter().map(|&(cpu, count)| (cpu, [count])), true);
            (counters.sums().unwrap()[0], counters.cpus().map(|(cpu, [count])| (cpu, count)).collect::<Vec<_>>())
        };
        assert_eq!(sum(&[(0, 10), (1, 5)]), (15, vec![(0, 10), (1, 5)]));
        assert_eq!(sum(&[(0, 11)]), (16, vec![(0, 11)]), "CPU 1 is offline");
        assert_eq!(sum(&[(0, 11), (1, 7)]), (18, vec![(0, 11), (1, 7)]), "and returns");
        assert_eq!(sum(&[(0, 11), (1, 7), (2, 100)]), (18, vec![(0, 11), (1, 7), (2, 100)]), "CPU 2 is new");
        assert_eq!(sum(&[(0, 2), (1, 7), (2, 101)]), (19, vec![(0, 11), (1, 7), (2, 101)]), "CPU 0 restarted");
    }
}
