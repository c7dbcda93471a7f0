//! Merges the families of a scrape: grouped by name, sorted, without duplicates.

use std::sync::Arc;

use super::family::Family;

/// The merged families of a scrape.
pub(crate) struct Exposition {
    /// Groups of families with the same name, ordered by name.
    pub(crate) groups: Vec<Group>,
    /// Dropped series: an earlier one has the same labels, or an earlier family of the name has another type.
    pub(crate) duplicates: u64,
}

/// The families with the same name and type, and the order of their series.
pub(crate) struct Group {
    families: Vec<Arc<Family>>,
    /// Family and series, in the order of the output; `None` if the first family is the only one and is sorted.
    order: Option<Vec<(u32, u32)>>,
}

impl Exposition {
    /// Merges families. Of two series with the same name and labels, the first is kept.
    pub(crate) fn merge(mut families: Vec<Arc<Family>>) -> Self {
        families.retain(|family| !family.is_empty());
        families.sort_by(|a, b| a.name().cmp(b.name())); // stable: the first stays first
        let mut exposition = Self { groups: Vec::new(), duplicates: 0 };
        for same_name in families.chunk_by(|a, b| a.name() == b.name()) {
            let kind = same_name[0].kind();
            let (families, clashing): (Vec<_>, Vec<_>) =
                same_name.iter().cloned().partition(|family| family.kind() == kind);
            let (group, duplicates) = Group::sorted(families);
            let clashing: usize = clashing.iter().map(|family| family.len()).sum();
            exposition.groups.push(group);
            exposition.duplicates += (duplicates + clashing) as u64;
        }
        exposition
    }

    /// All families.
    pub(crate) fn families(&self) -> impl Iterator<Item = &Arc<Family>> {
        self.groups.iter().flat_map(|group| &group.families)
    }

    /// The memory of the order of all series in bytes.
    pub(crate) fn order_memory(&self) -> usize {
        self.groups.iter().filter_map(|group| group.order.as_ref()).map(|order| size_of_val(&order[..])).sum()
    }

    /// Adds a family with a unique name.
    pub(crate) fn insert(&mut self, family: Arc<Family>) {
        let (group, _) = Group::sorted(vec![family]);
        let at = self.groups.partition_point(|other| other.head().name() < group.head().name());
        self.groups.insert(at, group);
    }
}

impl Group {
    /// The family that defines the name, help and type of the group.
    pub(crate) fn head(&self) -> &Family {
        &self.families[0]
    }

    /// The number of series.
    pub(crate) fn len(&self) -> usize {
        self.order.as_ref().map_or_else(|| self.head().len(), Vec::len)
    }

    /// A series by its position in the order of the output.
    pub(crate) fn at(&self, position: usize) -> (&Family, usize) {
        match &self.order {
            None => (self.head(), position),
            Some(order) => {
                let (family, series) = order[position];
                (&self.families[family as usize], series as usize)
            }
        }
    }

    /// All series in any order. The order in memory is the fastest, but has the dropped duplicates.
    #[cfg(feature = "protobuf")]
    pub(crate) fn for_each_series(&self, mut work: impl FnMut(&Family, usize)) {
        if self.len() == self.families.iter().map(|family| family.len()).sum::<usize>() {
            for family in &self.families {
                (0..family.len()).for_each(|series| work(family, series));
            }
        } else {
            (0..self.len()).map(|position| self.at(position)).for_each(|(family, series)| work(family, series));
        }
    }

    /// All series in the order of the output.
    #[cfg(any(test, feature = "landing-page"))]
    pub(crate) fn series(&self) -> impl Iterator<Item = (&Family, usize)> {
        (0..self.len()).map(|position| self.at(position))
    }

    /// The group, and the number of dropped duplicates.
    fn sorted(families: Vec<Arc<Family>>) -> (Self, usize) {
        if let [family] = &families[..]
            && family.is_sorted()
        {
            return (Self { families, order: None }, 0);
        }
        let series = families.iter().zip(0_u32..).flat_map(|(family, at)| {
            (0_u32..).take(family.len()).map(move |series| (family.sort_key(series as usize), at, series))
        });
        let mut keyed: Vec<_> = series.collect();
        let compare = |(key, family, series): &(u64, u32, u32), other: &(u64, u32, u32)| {
            let (other_key, other_family, other_series) = other;
            key.cmp(other_key).then_with(|| {
                let other = &families[*other_family as usize];
                families[*family as usize].compare(*series as usize, other, *other_series as usize)
            })
        };
        keyed.sort_by(compare); // stable: the first of equal series stays first
        let before = keyed.len();
        keyed.dedup_by(|later, first| compare(first, later).is_eq());
        let duplicates = before - keyed.len();
        let order = keyed.into_iter().map(|(_, family, series)| (family, series)).collect();
        (Self { families, order: Some(order) }, duplicates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::family::Value;

    fn gauge(value: f64) -> Arc<Family> {
        Arc::new(Family::gauge("g", "", &["l"]).with(&["x"], value).with(&["a"], value))
    }

    #[test]
    fn the_first_of_duplicate_series_is_kept_and_the_others_are_counted() {
        let exposition = Exposition::merge(vec![gauge(1.0), gauge(2.0)]);
        assert_eq!(exposition.duplicates, 2);
        let values: Vec<_> =
            exposition.groups[0].series().map(|(family, series)| family.series_value(series).clone()).collect();
        assert_eq!(values, [Value::Number(1.0), Value::Number(1.0)]);
    }

    #[test]
    fn a_family_of_another_type_is_dropped_and_counted() {
        let counter = Arc::new(Family::counter("g", "", &[]).value(1.0));
        let exposition = Exposition::merge(vec![gauge(1.0), counter]);
        assert_eq!((exposition.groups.len(), exposition.duplicates), (1, 1));
    }

    #[test]
    fn families_of_one_name_may_differ_in_labels() {
        let other = Arc::new(Family::gauge("g", "", &["m"]).with(&["x"], 3.0));
        let exposition = Exposition::merge(vec![gauge(1.0), other]);
        assert_eq!((exposition.groups[0].series().count(), exposition.duplicates), (3, 0));
    }
}
