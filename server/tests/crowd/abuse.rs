//! Abusive connections, before and after they are authenticated: each does one thing for as long as
//! the server lets it, and comes again.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use plenary_proto::{
    ids::LedgerSeq,
    request::{Purpose, Request},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    time::sleep,
};
use tokio_tungstenite::tungstenite::Message;

use super::{
    network::Device,
    seat::{Door, Seat, close_code},
};

/// Kinds of abuse.
pub const KINDS: u64 = 8;

/// Before the next attempt: an attacker gains nothing from less, and all of them run on the same
/// processors as the server here.
const PAUSE: Duration = Duration::from_secs(4);

/// Abuses until it is ended.
pub async fn abuse(door: Door, device: &Device, n: u64) {
    let from = [127, 1, (n / 250) as u8, (n % 250) as u8 + 1];
    for round in 0.. {
        // A refused connection is what it came for.
        let _ = once(&door, from, device, (n + round) % KINDS).await;
        sleep(PAUSE).await;
    }
}

async fn once(door: &Door, from: [u8; 4], device: &Device, kind: u64) -> Option<()> {
    let enter = || door.enter(from, device, Purpose::Chat, false);
    match kind {
        // Silent before TLS.
        0 => {
            let mut tcp = door.tcp(from).await.ok()?;
            cut(&mut tcp).await;
        }
        // Half of TLS's first message, then garbage.
        1 => {
            let mut tcp = door.tcp(from).await.ok()?;
            tcp.write_all(&[0x16, 3, 1, 2, 0, 1]).await.ok()?;
            sleep(Duration::from_secs(1)).await;
            tcp.write_all(&[0; 600]).await.ok()?;
            cut(&mut tcp).await;
        }
        // Half of the upgrade's header.
        2 => {
            let mut tls = door.tls(from).await.ok()?;
            tls.write_all(b"GET / HTTP/1.1\r\nHost: ").await.ok()?;
            tls.flush().await.ok()?;
            cut(&mut tls).await;
        }
        // Upgraded, and silent.
        3 => {
            let (mut socket, _) = door.greeted(from).await.ok()?;
            close_code(&mut socket).await;
        }
        // A signature that is none.
        4 => {
            door.enter(from, device, Purpose::Chat, true).await.ok()?;
            panic!("a forged signature was let in");
        }
        // Authenticated: asks for pages of the ledger and reads none of them.
        5 => {
            let mut seat = enter().await.ok()?;
            for _ in 0..200 {
                let page = Request::LedgerRead {
                    after: LedgerSeq(0),
                    limit: 128,
                };
                // Once the line is full this waits until the server has had enough.
                let said = seat.say(page);
                tokio::time::timeout(Duration::from_secs(20), said)
                    .await
                    .ok()?
                    .ok()?;
            }
        }
        // Authenticated: key packages that are none, four a second.
        6 => {
            let mut seat = enter().await.ok()?;
            for _ in 0..60 {
                seat.ask(packages()).await.ok()?.ok();
                sleep(Duration::from_millis(250)).await;
            }
        }
        // Authenticated: pings without end.
        _ => {
            let mut seat = enter().await.ok()?;
            ping(&mut seat).await;
        }
    }
    Some(())
}

/// Reads until the server ends it.
async fn cut(stream: &mut (impl AsyncRead + Unpin)) {
    while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
}

/// Key packages that are none.
pub fn packages() -> Request {
    Request::PutKeyPackages {
        packages: vec![Bytes::from_static(&[0; 2_700])],
        last_resort: None,
    }
}

/// Pings until the server ends it; the code that it says then.
pub async fn ping(seat: &mut Seat) -> u16 {
    for _ in 0..1_000 {
        let ping = Message::Ping(Bytes::new());
        if seat.socket.send(ping).await.is_err() {
            break;
        }
        match seat.socket.next().now_or_never() {
            Some(Some(Ok(Message::Close(Some(frame))))) => return frame.code.into(),
            Some(Some(Err(_)) | None) => return 0,
            _ => {}
        }
    }
    close_code(&mut seat.socket).await
}
