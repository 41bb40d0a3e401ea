//! Compiles the part of Envoy's protos that the proxy compiles into runtime objects: Rust types for it, and tables of
//! descriptors for the reflection side of this crate (JSON, validation).
//!
//! Envoy's own protos come as the descriptor set that the `envoy-types` package ships (protoc wrote it, so every
//! type name in it is absolute and every custom option is there). `proto/` has the few cncf/xds messages it lacks.

mod closure;
mod package;
mod tables;
mod typed;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use protox::Compiler;
use protox::file::{ChainFileResolver, DescriptorSetFileResolver, IncludeFileResolver};

/// Where `envoy-types` keeps the descriptor set, inside its package.
const ENVOY_DESCRIPTORS: &str = "src/generated/types.bin";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=proto");

    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let envoy = package::directory("envoy-types")?.join(ENVOY_DESCRIPTORS);
    println!("cargo::rerun-if-changed={}", envoy.display());
    let envoy = fs::read(&envoy).map_err(|e| format!("{}: {e}", envoy.display()))?;

    let own = proto_files(Path::new("proto"))?;
    // What nobody compiles needs no descriptor either.
    let mut names = closure::file_names(&envoy)?;
    names.extend(own.iter().cloned());
    names.retain(|name| typed::TYPED.iter().any(|prefix| name.starts_with(prefix)));

    let mut resolver = ChainFileResolver::new();
    resolver.add(IncludeFileResolver::new("proto".into()));
    resolver.add(DescriptorSetFileResolver::decode(envoy.as_slice())?);
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler
        .include_source_info(false)
        .include_imports(true)
        .open_files(&names)?;

    // `encode_file_descriptor_set` keeps the custom options (validate.rules, udpa.annotations.sensitive) that
    // `file_descriptor_set` loses: the one is for reflection, the other only for the code generator.
    let descriptors = compiler.encode_file_descriptor_set();
    let (tables, rules) = tables::write(&descriptors)?;
    fs::write(out.join("tables.rs"), tables)?;
    fs::write(out.join("rules.bin"), rules)?;
    fs::write(out.join("descriptors.bin"), descriptors)?;
    prost_build::Config::new()
        .out_dir(&out)
        .enable_type_names()
        .include_file("pb.rs")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// Names, relative to `root`, of the `.proto` files below it.
fn proto_files(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in
            fs::read_dir(&directory).map_err(|e| format!("{}: {e}", directory.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|x| x == "proto") {
                let name = path.strip_prefix(root)?;
                found.push(
                    name.to_str()
                        .ok_or("a proto's name is not UTF-8")?
                        .to_owned(),
                );
            }
        }
    }
    found.sort();
    Ok(found)
}
