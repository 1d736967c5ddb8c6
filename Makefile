# What a person types; everything longer than a line is a script of its own.
.DEFAULT_GOAL := help
.PHONY: help run test lint bench image crds clean
target := $(or $(CARGO_TARGET_DIR),target)

help: ## show this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done

run: ## a cluster on loopback with the operator, its server and the samples; KUBE_CONTEXT=name uses that cluster
	@tests/walkthrough/run

test: lint ## everything, against a real API server, PostgreSQL and node
	cargo test --locked --no-run --lib --test it
	tests/env cargo test --locked --lib --test it
	tests/fuzz/run
	cargo build --locked --bin holdfast --example sql
	tests/node/run "$(target)/debug/holdfast"

lint: ## format, clippy, scripts, dependencies
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	tests/tools shellcheck
	grep -rlE '^#!/usr/bin/env bash' tests .ci bench charts config | xargs shellcheck --external-sources --severity=warning
	tests/dependencies

bench: ## the floor and the product side by side
	bench/run

image: ## an image archive from a release binary, pulling nothing
	cargo build --locked --release --bin holdfast
	tests/image "$(target)/release/holdfast" "$(target)/holdfast-image.tar"

crds: ## generate crds/ from src/crd
	cargo run --locked --quiet -- crds --output-dir crds
	charts/sync-crds

clean: ## remove what was built here; the cache outside the checkout stays
	cargo clean
