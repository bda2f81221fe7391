//! The `plenary-server` binary; everything is in the library, so that the demo can bring it along.

fn main() -> std::process::ExitCode {
    plenary_server::cli::main()
}
