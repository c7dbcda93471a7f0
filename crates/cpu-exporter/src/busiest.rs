//! Exports the busiest of many sources, and the sum of all others.

use std::collections::BTreeMap;

/// N counters of each source. The first is the CPU time by which sources are compared.
///
/// Of a source that is not exported, increases are added to the sum of the others. Neither a source's counters nor that
/// sum decrease when sources join or leave the busiest.
#[derive(Debug)]
pub(crate) struct Busiest<const N: usize> {
    limit: usize,
    /// Number of absent sources to remember. A remembered source that returns continues its counters.
    absent_limit: usize,
    sources: BTreeMap<String, Source<N>>,
    others: [u64; N],
    reads: u64,
}

/// How many incomplete reads a source may be absent from.
pub(crate) const PATIENCE: u64 = 20;

#[derive(Debug)]
struct Source<const N: usize> {
    totals: [u64; N],
    /// Recent CPU time: increases, which lose a tenth of their weight with each read.
    recent: f64,
    exported: bool,
    /// Number of the last read with this source.
    read: u64,
}

impl<const N: usize> Busiest<N> {
    pub(crate) fn new(limit: usize, absent_limit: usize) -> Self {
        Self { limit, absent_limit, sources: BTreeMap::new(), others: [0; N], reads: 0 }
    }

    /// Adds a read: the increases of all sources since the previous read. After an incomplete read, a source that is
    /// absent may still exist, and keeps its counters.
    #[expect(clippy::cast_precision_loss, reason = "only compared with each other")]
    pub(crate) fn add(&mut self, increases: BTreeMap<String, [u64; N]>, is_complete: bool) {
        self.reads += 1;
        let first = self.reads == 1;
        self.sources.values_mut().for_each(|source| source.recent *= 0.9);
        for (name, increase) in &increases {
            let source = self.sources.entry(name.clone()).or_insert(Source {
                totals: [0; N],
                recent: 0.0,
                exported: false,
                read: 0,
            });
            source.read = self.reads;
            add(&mut source.totals, increase);
            // The first read has everything since each source started, which is not recent.
            source.recent += if first { 0.0 } else { increase[0] as f64 };
        }
        self.forget_absent(if is_complete { 0 } else { PATIENCE });
        let mut order: Vec<_> = self.sources.values_mut().collect();
        order.sort_by(|a, b| b.recent.total_cmp(&a.recent).then(b.totals[0].cmp(&a.totals[0])));
        for (rank, source) in order.into_iter().enumerate() {
            source.exported = rank < self.limit;
        }
        for (name, increase) in &increases {
            if self.sources.get(name).is_none_or(|source| !source.exported) {
                add(&mut self.others, increase);
            }
        }
    }

    /// The exported sources and their counters, by name.
    pub(crate) fn exported(&self) -> impl Iterator<Item = (&str, [u64; N])> {
        self.sources.iter().filter(|(_, source)| source.exported).map(|(name, source)| (&**name, source.totals))
    }

    /// The counters of all other sources together; `None` if there are none.
    pub(crate) fn others(&self) -> Option<[u64; N]> {
        (self.sources.len() > self.limit || self.others[0] > 0).then_some(self.others)
    }

    /// Keeps the busiest of the sources that are absent from the last read and this number of reads before it.
    fn forget_absent(&mut self, patience: u64) {
        let reads = self.reads;
        let mut absent: Vec<_> = self.sources.iter().filter(|(_, source)| source.read + patience < reads).collect();
        absent.sort_by(|(_, a), (_, b)| b.recent.total_cmp(&a.recent));
        let forgotten: Vec<_> = absent.into_iter().skip(self.absent_limit).map(|(name, _)| name.clone()).collect();
        for name in forgotten {
            self.sources.remove(&name);
        }
    }
}

fn add<const N: usize>(totals: &mut [u64; N], increase: &[u64; N]) {
    for (total, increase) in totals.iter_mut().zip(increase) {
        *total = total.saturating_add(*increase);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds a read and returns the exported sources and the sum of the others.
    fn add(busiest: &mut Busiest<1>, increases: &[(&str, u64)]) -> (Vec<(String, u64)>, Option<u64>) {
        busiest.add(increases.iter().map(|&(name, increase)| (name.to_owned(), [increase])).collect(), true);
        let exported = busiest.exported().map(|(name, [total])| (name.to_owned(), total)).collect();
        (exported, busiest.others().map(|[total]| total))
    }

    fn exported(sources: &[(&str, u64)]) -> Vec<(String, u64)> {
        sources.iter().map(|&(name, total)| (name.to_owned(), total)).collect()
    }

    #[test]
    fn the_busiest_are_exported_and_the_others_are_summed() {
        let mut busiest = Busiest::new(2, 0);
        let first = add(&mut busiest, &[("a", 50), ("b", 40), ("c", 30), ("d", 20)]);
        assert_eq!(first, (exported(&[("a", 50), ("b", 40)]), Some(50)), "by the total, as there is no interval yet");
        let second = add(&mut busiest, &[("a", 1), ("b", 0), ("c", 5), ("d", 0)]);
        assert_eq!(second, (exported(&[("a", 51), ("c", 35)]), Some(50)), "c is busier now, and was counted before");
        let third = add(&mut busiest, &[("a", 1), ("b", 3), ("c", 0), ("d", 0)]);
        assert_eq!(third, (exported(&[("b", 43), ("c", 35)]), Some(51)));
    }

    #[test]
    fn all_are_exported_without_others_if_they_are_few() {
        assert_eq!(add(&mut Busiest::new(2, 0), &[("a", 1), ("b", 0)]), (exported(&[("a", 1), ("b", 0)]), None));
    }

    #[test]
    fn an_absent_source_continues_only_if_it_is_remembered() {
        for (absent_limit, total) in [(0, 3), (1, 8)] {
            let mut busiest = Busiest::new(2, absent_limit);
            add(&mut busiest, &[("a", 5)]);
            add(&mut busiest, &[("b", 1)]);
            assert_eq!(add(&mut busiest, &[("a", 3)]).0[0], ("a".to_owned(), total), "{absent_limit}");
        }
    }

    #[test]
    fn the_sum_of_the_others_never_decreases() {
        let mut busiest = Busiest::new(1, 2);
        let mut before = 0;
        for step in 0..50_u64 {
            let increases: Vec<_> = [("a", step * 7 % 5), ("b", step * 3 % 4), ("c", step % 3)].into();
            let present = &increases[usize::try_from(step % 2).unwrap()..];
            let (_, others) = add(&mut busiest, present);
            assert!(others.unwrap_or(before) >= before, "{step}");
            before = others.unwrap_or(before);
        }
    }
}
