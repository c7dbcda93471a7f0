//! What the exporters share: flags, the scrape, exposition formats, serving, test support.

mod answer;
mod collector;
pub mod duration;
mod exposition;
mod family;
mod flags;
mod health;
mod log;
mod process;
mod program;
mod serve;
mod source;
#[cfg(feature = "testing")]
pub mod testing;
mod text;

pub use async_trait::async_trait;
pub use collector::{Collector, Faults, Scrape};
pub use family::{Family, Histogram, Kind, Summary, Value};
pub use flags::CollectFlags;
pub use program::{Program, Purpose, Startup};
pub use source::{Collection, Source};
