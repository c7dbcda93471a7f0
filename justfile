# Short commands; `just` lists them.

_:
    @just --list

# Checks that need only Rust: format, lints, tests, documentation
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --all-features
    .ci/test

# The demo: the monitored services and the four exporters
demo *arguments:
    cargo run --release --bin demo -- {{arguments}}

# The performance budgets, compared with node_exporter in the same run
bench:
    cargo bench -p scrapewright --bench budgets

# Every fuzz target for some seconds (needs a C++ compiler)
fuzz seconds="10":
    .ci/fuzz {{seconds}}

# Rules, dashboards and Kubernetes objects from mixin/ (needs jsonnet)
mixin:
    mixin/render

# The documentation as a website in target/book (needs mdbook and lychee)
docs:
    .ci/docs

# Licenses, advisories and sources of all dependencies (needs cargo-deny)
deny:
    cargo deny check
