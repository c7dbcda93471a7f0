//! The data model of metrics, and its encoding as text, OpenMetrics and protobuf.

pub(crate) mod encoder;
pub(crate) mod escaping;
pub(crate) mod family;
mod merge;
mod names;
pub(crate) mod native_histogram;
pub(crate) mod negotiation;
mod openmetrics;
#[cfg(feature = "protobuf")]
pub(crate) mod protobuf;
#[cfg(feature = "protobuf")]
mod protobuf_text;
pub(crate) mod sample_format;
pub(crate) mod text;
pub(crate) mod value;

pub(crate) use merge::Exposition;
#[cfg(feature = "landing-page")]
pub(crate) use merge::Group;
