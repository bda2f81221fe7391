//! `plenary-demo`: the main job in one command. Its first argument `serve` runs the server.

fn main() -> std::process::ExitCode {
    plenary_tests::demo::main()
}
