# Short commands; `just` lists them.

_:
    @just --list

# All that needs nothing but Rust: format, lints, tests, documentation
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --all-features
    cargo test --workspace

# The demo: everything that is monitored, and the four exporters
demo *arguments:
    cargo run --release --bin demo -- {{arguments}}

# The budgets, beside node_exporter in the same run
bench:
    cargo bench -p exporter-common --bench budgets

# Licences, advisories and sources of all dependencies (needs cargo-deny)
deny:
    cargo deny check
