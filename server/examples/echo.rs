//! The echo that the conformance tests of WebSocket talk to: `tests/autobahn.sh` runs both.

use plenary_server::net::conformance::echo;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            // What breaks a connection is what the tests look at, from their side.
            let _ = echo(stream).await;
        });
    }
}
