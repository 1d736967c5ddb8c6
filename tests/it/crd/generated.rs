//! `crds/` is what the types say, and keeps the limits that an API server and its users need.

use std::path::Path;

use holdfast::crd;
use serde_json::Value;

/// With HOLDFAST_GENERATE=1 the files are written instead of compared.
#[test]
fn the_committed_definitions_are_the_generated_ones() {
    for definition in crd::all().unwrap() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds").join(crd::file_name(&definition));
        let generated = crd::yaml(&definition).unwrap();
        if std::env::var("HOLDFAST_GENERATE").is_ok_and(|v| v == "1") {
            std::fs::write(&path, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == generated, "{} differs: run `holdfast crds --output-dir crds`", path.display());
        let _: Value = serde_saphyr::from_str(&committed).unwrap();
    }
}
