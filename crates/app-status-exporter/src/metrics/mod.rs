//! From the values of a page to metric families.

pub(crate) mod classic;
pub(crate) mod conversion;
pub(crate) mod failures;
mod histogram;
pub(crate) mod mapping;
pub(crate) mod metric;
mod value;
