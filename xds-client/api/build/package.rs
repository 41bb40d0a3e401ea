//! Finds the directory of a registry package that this crate depends on without linking it.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// The directory of `package`, as Cargo resolved it: registry, vendored and patched sources all work.
///
/// Asks offline first, which is what a build sandbox with a fetched registry allows; a build that just downloaded only
/// what it compiles has not got the package yet, so the second attempt lets Cargo fetch it.
pub fn directory(package: &str) -> Result<PathBuf, Box<dyn Error>> {
    directory_from(package, &["--offline"]).or_else(|offline| {
        directory_from(package, &[]).map_err(|online| {
            format!("cannot find the sources of {package}; run `cargo fetch` (offline: {offline}; online: {online})").into()
        })
    })
}

fn directory_from(package: &str, mode: &[&str]) -> Result<PathBuf, Box<dyn Error>> {
    let cargo = env::var_os("CARGO").ok_or("cargo sets CARGO")?;
    let target = env::var("TARGET")?;
    // Without `--filter-platform` Cargo wants the packages of every platform, most of which nobody fetched.
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--features",
            "envoy-api/proto-sources",
        ])
        .args(["--filter-platform", &target])
        .args(mode)
        .output()?;
    if !output.status.success() {
        return Err(format!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )
        .into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let manifest = metadata["packages"]
        .as_array()
        .and_then(|packages| packages.iter().find(|p| p["name"] == package))
        .and_then(|p| p["manifest_path"].as_str())
        .ok_or_else(|| format!("cargo metadata knows no package {package}"))?;
    let mut directory = PathBuf::from(manifest);
    directory.pop();
    Ok(directory)
}
