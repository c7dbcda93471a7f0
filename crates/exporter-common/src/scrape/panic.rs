//! The message of a panic.

/// The message of a panic in a collector, as an error.
pub(super) fn panicked(panic: &(dyn std::any::Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", message.as_deref().unwrap_or("no message"))
}
