//! The limits of counters in a state file.

use anyhow::{Result, ensure};

/// Refuses counters whose sum leaves no room to count.
pub(super) fn countable(counts: impl IntoIterator<Item = u64>) -> Result<()> {
    let sum: u128 = counts.into_iter().map(u128::from).sum();
    ensure!(sum <= u128::from(u64::MAX / 2), "{sum} is more than an exporter can count");
    Ok(())
}

/// The same for 128-bit sums.
pub(super) fn summable(mut sums: impl Iterator<Item = u128>) -> Result<()> {
    let sum = sums.try_fold(0_u128, u128::checked_add);
    ensure!(sum.is_some_and(|sum| sum <= u128::MAX / 2), "the sum is more than an exporter can count");
    Ok(())
}
