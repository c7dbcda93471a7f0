//! From a page's values to metric families.

pub(crate) mod classic;
pub(crate) mod conversion;
pub(crate) mod failures;
pub(crate) mod mapping;
