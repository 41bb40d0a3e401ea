//! The `outrigger` binary: Envoy's command line in front of Outrigger's data path.

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    outrigger::main(std::env::args_os())
}
